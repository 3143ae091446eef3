"""How requests to the other services end: counted, timed, and logged at a bounded rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import product
from typing import Final

import structlog

from warren_gateway.domain.token_bucket import TokenBucket
from warren_gateway.ports import RequestFailedError, ServiceUnavailableError
from warren_shared.contracts.envelope import ContractError
from warren_shared.messaging.port import BusError, DeadlineExceededError, PublishRejectedError
from warren_shared.observability.metrics import Histogram

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LINES_PER_SECOND: Final = 5.0
"""While a service is away every client's request fails, and one line says as much as a thousand."""
_log = structlog.get_logger()


class Method(StrEnum):
    """What is asked; the label of the metrics."""

    CONNECT = "connect"
    REFRESH = "refresh"
    SUBSCRIBE = "subscribe"
    SUB_REFRESH = "sub_refresh"
    PUBLISH = "publish"
    PRESENCE = "presence"
    PRESENCE_STATS = "presence_stats"
    HISTORY = "history"
    RPC = "rpc"


class Outcome(StrEnum):
    """How a request ended; the label of its counter."""

    OK = "ok"
    REFUSED = "refused"
    """Answered with an error that stays: the asker's business, not a fault."""
    FAILED = "failed"
    """Answered with an error that passes: the other service is not well."""
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    """There is no connection to the broker."""
    REJECTED = "rejected"
    """The broker refused the message."""
    NOT_UNDERSTOOD = "not_understood"


class RequestOutcomes:
    """Counts requests; those that are cancelled are not counted."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic, self._lines = monotonic, TokenBucket(_LINES_PER_SECOND)
        self.counts: dict[tuple[Method, Outcome], int] = dict.fromkeys(product(Method, Outcome), 0)
        self.seconds = {method: Histogram(_SECONDS) for method in Method}

    @contextmanager
    def counting(self, method: Method) -> Iterator[None]:
        """Count how the block ends and how long it takes.

        BusError and ContractError leave it as ServiceUnavailableError.
        """
        began = self._monotonic()
        try:
            yield
        except BusError as error:
            self._failed(method, _of_bus(error), began, error)
            raise ServiceUnavailableError(str(error)) from error
        except ContractError as error:
            self._failed(method, Outcome.NOT_UNDERSTOOD, began, error)
            raise ServiceUnavailableError("the reply could not be understood") from error
        except ServiceUnavailableError as error:
            self._failed(method, Outcome.FAILED, began, error)
            raise
        except RequestFailedError as failure:
            if failure.error.temporary:
                self._failed(method, Outcome.FAILED, began, failure)
            else:
                self._ended(method, Outcome.REFUSED, began)
            raise
        else:
            self._ended(method, Outcome.OK, began)

    def _ended(self, method: Method, outcome: Outcome, began: float) -> None:
        self.counts[method, outcome] += 1
        self.seconds[method].observe(self._monotonic() - began)

    def _failed(self, method: Method, outcome: Outcome, began: float, error: Exception) -> None:
        self._ended(method, outcome, began)
        if self._lines.take(self._monotonic()):
            _log.warning("service_request_failed", method=method.value, outcome=outcome.value, reason=str(error))


def _of_bus(error: BusError) -> Outcome:
    match error:
        case DeadlineExceededError():
            return Outcome.TIMEOUT
        case PublishRejectedError():
            return Outcome.REJECTED
        case _:
            return Outcome.UNAVAILABLE
