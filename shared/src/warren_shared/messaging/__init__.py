"""The bus: publishing, consuming, requests and replies over RabbitMQ, behind one port."""
