"""An operator who looks at the dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from eventually import eventually


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message of the queue ``warren.dead``."""

    body: bytes
    key: str
    headers: dict[str, Any]

    @property
    def reason(self) -> str:
        """Why it is there."""
        return str(self.headers.get("x-warren-reason", ""))


async def find_dead_letter(url: str, message_id: str) -> DeadLetter:
    """Wait for the dead letter with that id, and take it and all before it away."""
    found: list[AbstractIncomingMessage] = []
    async with await aio_pika.connect(url) as connection:
        amqp_channel = await connection.channel()
        queue = await amqp_channel.get_queue("warren.dead")

        async def arrived() -> bool:
            while message := await queue.get(no_ack=True, fail=False):
                if message.message_id == message_id:
                    found.append(message)
            return bool(found)

        await eventually(arrived, what=f"dead letter {message_id}")
    letter = found[0]
    return DeadLetter(letter.body, letter.routing_key or "", dict(letter.headers))
