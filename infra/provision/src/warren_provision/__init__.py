"""Prepares a RabbitMQ for Warren: virtual host, users, topology."""
