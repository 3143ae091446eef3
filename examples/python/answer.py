"""Answer clients' calls of one method: plain pika, nothing of Warren's.

    AMQP_URL=amqp://user:password@host:5672/vhost python3 answer.py tools:shout

A client's ``rpc("tools:shout", {"text": "hello"})`` is answered ``{"text": "HELLO", "user": "42"}``. Run it as
often as you like: calls are shared out. Without it, callers are told at once that there is no such method.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

try:
    import pika
    from pika.exceptions import AMQPError
except ImportError:
    sys.exit("the AMQP client is missing: pip install pika (Debian: apt install python3-pika)")

USAGE = "usage: AMQP_URL=amqp://... answer.py METHOD"
AT_A_TIME = 10


def shout(data: Any, user: str) -> object:
    """The method itself. Raises KeyError and the like for what it cannot use."""
    return {"text": data["text"].upper(), "user": user}


def on_call(amqp_channel: Any, delivery: Any, properties: Any, body: bytes) -> None:
    headers: dict[str, object] = {}
    try:
        answer = shout(json.loads(body), properties.headers["x-warren-user"])
    except (KeyError, TypeError, AttributeError):
        # The client's SDK raises this as an error of its own; 400 to 1999 are yours to give meaning to.
        answer, headers = None, {"x-warren-error-code": 400, "x-warren-error-message": "no text"}
    reply = pika.BasicProperties(correlation_id=properties.correlation_id, headers=headers)
    amqp_channel.basic_publish("warren.replies", properties.reply_to, json.dumps(answer).encode(), reply)
    amqp_channel.basic_ack(delivery.delivery_tag)


def serve(method: str) -> None:
    """Answer until interrupted. Raises pika's AMQPError."""
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    amqp_channel = connection.channel()
    # Gone with the last who consumes it; from then on callers are told that there is no such method.
    queue = f"app.{method}"
    amqp_channel.queue_declare(queue, durable=True, auto_delete=True)
    amqp_channel.queue_bind(queue, "warren.rpc", f"app.{method}")
    amqp_channel.basic_qos(prefetch_count=AT_A_TIME)
    amqp_channel.basic_consume(queue, on_call)
    print(f"answering {method}", flush=True)
    amqp_channel.start_consuming()


def main() -> None:
    if len(sys.argv) != 2 or "AMQP_URL" not in os.environ:
        sys.exit(USAGE)
    try:
        serve(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit()
    except (AMQPError, OSError) as error:
        sys.exit(f"not answering: {error!r}")  # most of pika's errors have no text


if __name__ == "__main__":
    main()
