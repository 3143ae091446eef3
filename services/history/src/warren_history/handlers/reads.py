"""Answers ``history.read``."""

from __future__ import annotations

from opentelemetry import trace

from warren_history.domain.reading import ReadLimits, page_of, plan_read
from warren_history.metrics import Counts
from warren_history.ports import Store, StoreUnavailableError
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.envelope import ContractError, UnknownMessageError
from warren_shared.contracts.history import ReadRequest
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.port import Delivery
from warren_shared.observability.bounded_log import BoundedLog
from warren_shared.runtime.clock import Clock


class Reads:
    """Answers reads from the store: a Page, or Failed with the protocol's code."""

    def __init__(
        self, store: Store, namespaces: Namespaces, *, limits: ReadLimits, clock: Clock, counts: Counts
    ) -> None:
        self._store, self._namespaces, self._limits = store, namespaces, limits
        self._clock, self._counts, self._log = clock, counts, BoundedLog(clock.monotonic)

    def use(self, namespaces: Namespaces) -> None:
        """Answer from now on under new namespaces."""
        self._namespaces = namespaces

    async def handle(self, delivery: Delivery) -> bytes:
        """Answer one request. Never raises but for cancellation."""
        try:
            request = ReadRequest.decode(delivery.body)
        except UnknownMessageError as error:
            # While services are upgraded a newer gateway may ask for what a newer history can answer.
            self._counts.requests_unknown += 1
            return self._reject(Errors.INTERNAL, delivery, error)
        except ContractError as error:
            return self._reject(Errors.BAD_REQUEST, delivery, error)
        plan = plan_read(request, self._namespaces, self._limits)
        if isinstance(plan, ErrorCode):
            return self._failed(plan)
        trace.get_current_span().set_attribute("warren.channel", plan.channel)
        try:
            page = await self._store.read(plan, now=int(self._clock.now() * 1000))
        except StoreUnavailableError as error:
            self._counts.store_failures += 1
            self._log.warning("read_failed", reason=str(error))
            return self._failed(Errors.INTERNAL)
        self._counts.reads["ok"] += 1
        self._counts.read_publications += len(page.publications)
        return page_of(page).encode()

    def _reject(self, code: ErrorCode, delivery: Delivery, error: ContractError) -> bytes:
        self._log.warning("request_rejected", key=delivery.routing_key, code=code.code, reason=str(error))
        return self._failed(code)

    def _failed(self, error: ErrorCode) -> bytes:
        self._counts.reads[str(error.code)] += 1
        return Failed(code=error.code, reason=error.message, temporary=error.temporary).encode()
