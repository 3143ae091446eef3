"""Publish one event to the subscribers of a channel: plain pika, nothing of Warren's.

    AMQP_URL=amqp://user:password@host:5672/vhost python3 publish.py chat:room '{"text": "hello"}'

Exit code 0 means that RabbitMQ has confirmed the event.
"""

from __future__ import annotations

import json
import os
import sys
import uuid

try:
    import pika
    from pika.exceptions import AMQPError
except ImportError:
    sys.exit("the AMQP client is missing: pip install pika (Debian: apt install python3-pika)")

USAGE = "usage: AMQP_URL=amqp://... publish.py CHANNEL JSON"


def routing_key(channel: str) -> str:
    """``chat:room`` travels as ``chat.room``, a channel without a namespace, ``room``, as ``_.room``,
    and a private one, ``$chat:room``, as ``chat.$.room``.
    """
    namespace, colon, rest = channel.partition(":")
    if colon and namespace.startswith("$"):
        return f"{namespace[1:]}.$.{rest}"
    return f"{namespace}.{rest}" if colon else f"_.{channel}"


def publish(channel: str, payload: object, *, message_id: str, traceparent: str | None = None) -> None:
    """Publish JSON and wait for the confirm. Raises pika's AMQPError: then send it again under the same id."""
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    try:
        amqp_channel = connection.channel()
        amqp_channel.confirm_delivery()
        amqp_channel.basic_publish(
            exchange="warren.publish",
            routing_key=routing_key(channel),
            body=json.dumps(payload).encode(),
            properties=pika.BasicProperties(
                content_type="application/json",
                delivery_mode=2,  # survives a restart of the broker
                message_id=message_id,  # sent twice under one id, it is delivered once
                headers={"traceparent": traceparent} if traceparent else {},
            ),
        )
    finally:
        connection.close()


def main() -> None:
    if len(sys.argv) != 3 or "AMQP_URL" not in os.environ:
        sys.exit(USAGE)
    channel, message_id = sys.argv[1], os.environ.get("MESSAGE_ID") or str(uuid.uuid4())
    try:
        payload = json.loads(sys.argv[2])
        publish(channel, payload, message_id=message_id, traceparent=os.environ.get("TRACEPARENT"))
    except json.JSONDecodeError as error:
        sys.exit(f"not JSON: {error}")
    except (AMQPError, OSError) as error:
        sys.exit(f"not published: {error!r}")  # most of pika's errors have no text
    print(f"published to {channel} as {message_id}")


if __name__ == "__main__":
    main()
