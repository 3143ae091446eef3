"""The bus over aio-pika; nothing outside this package touches the AMQP client."""
