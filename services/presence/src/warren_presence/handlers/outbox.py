"""Announcements on their way to the broker: in order, confirmed, kept until they are out."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_delay,
    wait_random_exponential,
)

from warren_shared.messaging.port import BusError, Outgoing, Publisher, UnsendableMessageError

HOLD_SECONDS: Final = 60.0
"""How long a batch is held while the broker confirms nothing; then another process may do better."""
_CHUNK: Final = 256
_DEADLINE: Final = 10.0
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_TRIES: Final = 3
"""How often a message is refused before it counts as refused: another's refusal, at the same moment
on the same amqp channel, looks the same."""
_ATTEMPTS_A_LOG_LINE: Final = 16
_log = structlog.get_logger()


class Outbox:
    """Messages of one partition that the broker has not confirmed yet.

    What a ``flush`` that ended early leaves behind goes out with the next: the delivery that caused it
    comes again, but announces nothing again. Bounded by what one batch of deliveries causes, because the
    next batch waits for the flush.
    """

    def __init__(self, publisher: Publisher, queue: str, *, hold: float = HOLD_SECONDS) -> None:
        self._publisher, self._queue, self._hold = publisher, queue, hold
        self._waiting: deque[Outgoing] = deque()
        self.retries = 0
        """How often the broker did not confirm in time; what was sent then is sent again."""
        self.refused = 0
        """Messages the broker will never take, and that were dropped."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, message: Outgoing) -> None:
        """Have a message published by the next flush."""
        self._waiting.append(message)

    def clear(self) -> None:
        """Drop all that waits, also from under a flush in progress, which then ends."""
        self._waiting = deque()

    async def flush(self) -> None:
        """Publish all that waits; try again, within ``hold`` seconds, what the broker does not confirm.

        What it refuses for good is dropped, logged and counted: it must not stop the partition.

        Raises BusError after that: the batch goes back to the broker, and to another process if there
        is one. Not to be called twice at a time. Safe to cancel.
        """
        while self._waiting:
            waiting = self._waiting
            chunk = list(islice(waiting, _CHUNK))
            await self._publish(waiting, chunk)
            if self._waiting is waiting:
                for _ in chunk:
                    waiting.popleft()

    async def _publish(self, waiting: deque[Outgoing], chunk: Sequence[Outgoing]) -> None:
        try:
            await self._insist(waiting, chunk)
        except UnsendableMessageError:
            # Which one it was, only sending one at a time tells; some may be sent twice.
            for message in chunk:
                await self._publish_alone(waiting, message)

    async def _publish_alone(self, waiting: deque[Outgoing], message: Outgoing) -> None:
        reason = ""
        for _ in range(_TRIES):
            try:
                await self._insist(waiting, [message])
            except UnsendableMessageError as error:
                reason = str(error)
            else:
                return
        self.refused += 1
        _log.error("message_refused", queue=self._queue, exchange=message.exchange, reason=reason)

    async def _insist(self, waiting: deque[Outgoing], messages: Sequence[Outgoing]) -> None:
        retrying = AsyncRetrying(
            retry=retry_if_exception(_passes),
            wait=wait_random_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
            stop=stop_after_delay(self._hold),
            before_sleep=self._report,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                if self._waiting is waiting:
                    await self._publisher.publish_all(messages, deadline=_DEADLINE)

    def _report(self, state: RetryCallState) -> None:
        self.retries += 1
        if state.attempt_number % _ATTEMPTS_A_LOG_LINE == 1:
            error = state.outcome.exception() if state.outcome else None
            _log.warning("announcements_delayed", queue=self._queue, attempt=state.attempt_number, reason=str(error))


def _passes(error: BaseException) -> bool:
    return isinstance(error, BusError) and not isinstance(error, UnsendableMessageError)
