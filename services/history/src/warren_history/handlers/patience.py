"""Trying again what may succeed later, while the batch is held and with it the order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_delay,
    wait_random_exponential,
)

from warren_history.ports import StoreUnavailableError
from warren_shared.messaging.port import BusError, UnsendableMessageError

PASSING: Final = (StoreUnavailableError, BusError)
"""What may be over in a moment, except for a message that the broker will never take."""

_ATTEMPTS_A_LOG_LINE: Final = 16
_log = structlog.get_logger()

T = TypeVar("T")


class BatchGivenBackError(BusError):
    """The batch goes back to the broker, which delivers it again, in order."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often something is tried again."""

    seconds: float
    """How long to go on; then the batch is given back."""
    first_pause: float = 0.05
    longest_pause: float = 2.0

    async def insist(self, step: str, queue: str, attempt: Callable[[], Awaitable[T]], failed: Callable[[], None]) -> T:
        """Return what ``attempt`` returns as soon as it does not fail; ``failed`` counts failures.

        Pauses are random and grow, so that partitions that failed together do not return together.
        Raises BatchGivenBackError, and at once whatever is not likely to pass.
        """
        try:
            return await attempt()
        except UnsendableMessageError:
            failed()
            raise
        except PASSING as error:
            # Only now: the machinery of retrying costs more than a small batch.
            return await self._try_again(step, queue, attempt, failed, error)

    async def _try_again(
        self,
        step: str,
        queue: str,
        attempt: Callable[[], Awaitable[T]],
        failed: Callable[[], None],
        first: Exception | None,
    ) -> T:
        async def next_attempt() -> T:
            nonlocal first
            if first is not None:
                error, first = first, None
                raise error
            return await attempt()

        def report(state: RetryCallState) -> None:
            failed()
            if state.attempt_number % _ATTEMPTS_A_LOG_LINE == 1:
                error = state.outcome.exception() if state.outcome else None
                _log.warning("batch_held", step=step, queue=queue, attempt=state.attempt_number, reason=str(error))

        retrying = AsyncRetrying(
            retry=retry_if_exception(_passes),
            wait=wait_random_exponential(multiplier=self.first_pause, max=self.longest_pause),
            stop=stop_after_delay(self.seconds),
            before_sleep=report,
            reraise=True,
        )
        try:
            return await retrying(next_attempt)
        except UnsendableMessageError:
            failed()
            raise
        except PASSING as error:
            failed()
            raise BatchGivenBackError(f"{step} failed for {self.seconds} s: {error}") from error


def _passes(error: BaseException) -> bool:
    return isinstance(error, PASSING) and not isinstance(error, UnsendableMessageError)
