"""The bus: what works over an AMQP connection, whichever driver makes it."""
