"""Sending a batch's messages until the broker has each, or refuses it for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from warren_history.handlers.patience import Patience
from warren_shared.messaging.port import Outgoing, Publisher, UnsendableMessageError

_TRIES: Final = 3
"""How often a message is refused before it counts as refused: another's refusal, at the same moment
on the same amqp channel, looks the same."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A message the broker will not take."""

    place: int
    """Which of those that were to be sent."""
    reason: str
    part: int = 0
    """Which of those that were sent instead of it."""


def _nothing(_place: int) -> Sequence[Outgoing]:
    return ()


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Publishes with confirms. ``failed`` counts failures."""

    publisher: Publisher
    patience: Patience
    deadline: float
    """How long the broker may take to confirm, in seconds."""
    failed: Callable[[], None]

    async def send(
        self,
        step: str,
        queue: str,
        messages: Sequence[Outgoing],
        instead: Callable[[int], Sequence[Outgoing]] = _nothing,
    ) -> Sequence[Refused]:
        """Publish all in order, and return those that the broker refuses; all others are confirmed.

        ``instead`` returns what to send in place of a message that is refused, if anything; then what of
        that is refused is returned. After a refusal every one is published again, alone: some may be
        there twice. Raises BatchGivenBackError while the broker is away.
        """
        try:
            await self._insist(step, queue, messages)
        except UnsendableMessageError:
            refused: list[Refused] = []
            for place, message in enumerate(messages):
                reason = await self._send_alone(step, queue, message)
                if reason is not None:
                    parts = instead(place)
                    refused += await self._send_parts(step, queue, place, parts) if parts else [Refused(place, reason)]
            return refused
        return ()

    async def _send_parts(self, step: str, queue: str, place: int, parts: Sequence[Outgoing]) -> Sequence[Refused]:
        reasons = [await self._send_alone(step, queue, message) for message in parts]
        return [Refused(place, reason, part) for part, reason in enumerate(reasons) if reason is not None]

    async def _send_alone(self, step: str, queue: str, message: Outgoing) -> str | None:
        """Return why it is refused, None if it is not."""
        reason = ""
        for _ in range(_TRIES):
            try:
                await self._insist(step, queue, [message])
            except UnsendableMessageError as error:
                reason = str(error)
            else:
                return None
        return reason

    async def _insist(self, step: str, queue: str, messages: Sequence[Outgoing]) -> None:
        await self.patience.insist(
            step, queue, lambda: self.publisher.publish_all(messages, deadline=self.deadline), self.failed
        )
