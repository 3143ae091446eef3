"""The bus over aio-pika: the only package that imports it."""
