"""Answering what gateways ask of tokens, and counting how that ends."""

from __future__ import annotations

from collections import Counter
from typing import Final

from warren_auth.domain.admission import Admission
from warren_auth.domain.decisions import Decision, Outcome
from warren_auth.domain.subscription_admission import SubscriptionAdmission
from warren_shared.contracts.auth import ConnectRequest, RefreshRequest, Refused, SubRefreshRequest, SubscribeRequest
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.envelope import ContractError, UnknownMessageError, decode_one_of
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.port import Delivery
from warren_shared.observability.bounded_log import BoundedLog
from warren_shared.observability.metrics import Histogram
from warren_shared.runtime.clock import Clock

_Request = ConnectRequest | RefreshRequest | SubscribeRequest | SubRefreshRequest
_REQUESTS: Final[tuple[type[_Request], ...]] = (ConnectRequest, RefreshRequest, SubscribeRequest, SubRefreshRequest)
METHODS: Final = tuple(request.type_name for request in _REQUESTS)
_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05)


class RequestHandler:
    """Answers one request at a time; a RequestHandler of the bus."""

    def __init__(self, admission: Admission, subscriptions: SubscriptionAdmission, clock: Clock) -> None:
        self._admission, self._subscriptions, self._clock = admission, subscriptions, clock
        # Whoever can open a socket decides how many connects are refused.
        self._log = BoundedLog(clock.monotonic)
        self.decisions: Counter[tuple[str, Outcome]] = Counter()
        """How many requests of a method ended in an outcome."""
        self.rejected = 0
        """Requests that could not be read."""
        self.seconds = Histogram(_SECONDS)
        """How long decisions took."""

    async def __call__(self, delivery: Delivery) -> bytes:
        """Return the reply's body: Admitted, Allowed or Refused, Failed if the request cannot be read."""
        try:
            request = decode_one_of(delivery.body, *_REQUESTS)
        except UnknownMessageError as error:
            # While services are upgraded a newer gateway may ask for what a newer auth can answer.
            return self._reject(Errors.INTERNAL, error)
        except ContractError as error:
            return self._reject(Errors.BAD_REQUEST, error)
        began = self._clock.monotonic()
        decision = self._decide(request)
        self.seconds.observe(self._clock.monotonic() - began)
        self.decisions[request.type_name, decision.outcome] += 1
        if isinstance(decision.reply, Refused):
            self._log.info(
                "client_refused",
                method=request.type_name,
                client=request.client,
                outcome=decision.outcome.value,
                code=decision.reply.code,
                detail=decision.reply.detail,
            )
        return decision.reply.encode()

    def _decide(self, request: _Request) -> Decision:
        now = self._clock.now()
        match request:
            case ConnectRequest():
                return self._admission.connect(request, now)
            case RefreshRequest():
                return self._admission.refresh(request, now)
            case SubscribeRequest():
                return self._subscriptions.subscribe(request, now)
            case SubRefreshRequest():
                return self._subscriptions.sub_refresh(request, now)

    def _reject(self, code: ErrorCode, error: ContractError) -> bytes:
        self.rejected += 1
        self._log.warning("request_rejected", code=code.code, reason=str(error))
        return Failed(code=code.code, reason=code.message, temporary=code.temporary).encode()
