"""A backend that orders something of clients, in plain pika: a JSON body, a key, a confirm."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pika


async def order(url: str, kind: str, *, key: str = "", headers: dict[str, Any] | None = None, **fields: Any) -> None:
    """Publish ``control.<kind>`` and wait for the confirm. Raises pika's AMQPError."""
    body = json.dumps({"type": f"control.{kind}", **fields}).encode()
    await order_bytes(url, key or f"user.{kind}", body, headers=headers)


async def order_bytes(
    url: str, key: str, body: bytes, *, message_id: str | None = None, headers: dict[str, Any] | None = None
) -> None:
    """Publish any bytes to ``warren.control``."""
    await asyncio.to_thread(_publish, url, key, body, pika.BasicProperties(message_id=message_id, headers=headers))


def _publish(url: str, key: str, body: bytes, properties: pika.BasicProperties) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        amqp_channel = connection.channel()
        amqp_channel.confirm_delivery()
        amqp_channel.basic_publish("warren.control", key, body, properties)
    finally:
        if connection.is_open:
            connection.close()
