"""Requests as they arrive from the bus: replies, counters and log lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from structlog.testing import capture_logs

from warren_auth.domain.admission import Admission
from warren_auth.domain.decisions import Outcome
from warren_auth.domain.subscription_admission import SubscriptionAdmission
from warren_auth.handlers.requests import RequestHandler
from warren_auth.metrics import CATALOGUE, REJECTED, REQUESTS, collector
from warren_shared.contracts.auth import (
    Admitted,
    Allowed,
    ConnectRequest,
    RefreshRequest,
    Refused,
    SubRefreshRequest,
    SubscribeRequest,
)
from warren_shared.contracts.envelope import Message
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.port import Delivery
from warren_shared.observability.metrics import Reading

Sign = Callable[[Mapping[str, object]], str]


class FixedClock:
    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def handler(admission: Admission, subscriptions: SubscriptionAdmission, now: float) -> RequestHandler:
    return RequestHandler(admission, subscriptions, FixedClock(now))


def delivery(message: Message) -> Delivery:
    return Delivery("warren.rpc", message.type_name, message.encode(), reply_to="replies", correlation_id="1")


async def test_connect_is_answered_and_counted(handler: RequestHandler, sign: Sign) -> None:
    reply = await handler(delivery(ConnectRequest(client="c1", token=sign({"sub": "42"}))))

    assert Admitted.decode(reply).user == "42"
    assert handler.decisions == {("auth.connect", Outcome.ADMITTED): 1}
    assert sum(handler.seconds.counts) == 1


async def test_refresh_is_answered_by_its_own_codes(handler: RequestHandler, sign: Sign) -> None:
    reply = await handler(delivery(RefreshRequest(client="c1", user="42", token=sign({"sub": "42", "exp": 1}))))

    assert Refused.decode(reply).code == 3005
    assert handler.decisions == {("auth.refresh", Outcome.EXPIRED_TOKEN): 1}


async def test_subscribe_and_sub_refresh_are_answered_by_their_own_codes(handler: RequestHandler, sign: Sign) -> None:
    good = {"client": "c1", "user": "42", "channel": "chat:a", "token": sign({"sub": "42", "channel": "chat:a"})}

    assert Allowed.decode(await handler(delivery(SubscribeRequest(**good)))).grants
    assert Allowed.decode(await handler(delivery(SubRefreshRequest(**good)))).grants
    bad = {**good, "token": "x"}
    assert Refused.decode(await handler(delivery(SubscribeRequest(**bad)))).code == 103
    assert Refused.decode(await handler(delivery(SubRefreshRequest(**bad)))).code == 3500
    assert handler.decisions == {
        ("auth.subscribe", Outcome.ALLOWED): 1,
        ("auth.sub_refresh", Outcome.ALLOWED): 1,
        ("auth.subscribe", Outcome.INVALID_TOKEN): 1,
        ("auth.sub_refresh", Outcome.INVALID_TOKEN): 1,
    }


async def test_many_refusals_are_logged_at_a_bounded_rate_and_counted_exactly(handler: RequestHandler) -> None:
    with capture_logs() as logs:
        for _ in range(200):
            await handler(delivery(ConnectRequest(client="c1", token="x")))

    assert ([line["event"] for line in logs], handler.decisions.total()) == (["client_refused"] * 10, 200)


async def test_a_refusal_is_logged_without_the_token(handler: RequestHandler, sign: Sign) -> None:
    token = sign({"sub": "42", "exp": 1, "info": "confidential"})

    with capture_logs() as logs:
        await handler(delivery(ConnectRequest(client="c1", token=token)))

    assert logs == [
        {
            "event": "client_refused",
            "log_level": "info",
            "method": "auth.connect",
            "client": "c1",
            "outcome": "expired_token",
            "code": 109,
            "detail": "token has expired",
        }
    ]


@pytest.mark.parametrize(
    ("body", "code", "temporary"),
    [
        pytest.param(b"", 107, False, id="empty"),
        pytest.param(b"[]", 107, False, id="no object"),
        pytest.param(b'{"type":"auth.connect","v":1}', 107, False, id="field missing"),
        pytest.param(b'{"type":"auth.connect","v":1,"client":"c","token":7}', 107, False, id="field of another type"),
        pytest.param(b'{"type":"auth.unheard_of","v":1}', 100, True, id="unknown type"),
        pytest.param(b'{"type":"auth.connect","v":2,"client":"c"}', 100, True, id="newer version"),
    ],
)
async def test_what_cannot_be_read_is_answered_counted_and_logged(
    handler: RequestHandler, body: bytes, code: int, temporary: bool
) -> None:
    with capture_logs() as logs:
        reply = await handler(Delivery("warren.rpc", "auth.connect", body))

    failed = Failed.decode(reply)
    assert (failed.code, failed.temporary) == (code, temporary)
    assert handler.rejected == 1
    assert not handler.decisions
    assert [(line["event"], line["code"]) for line in logs] == [("request_rejected", code)]


def test_every_outcome_of_every_method_reads_0_before_the_first_request(handler: RequestHandler) -> None:
    values = {reading.labels: reading.value for reading in collector(handler)() if isinstance(reading, Reading)}

    for method in ("auth.connect", "auth.refresh"):
        for outcome in Outcome:
            assert values[method, outcome.value] == 0


async def test_metrics_are_those_of_the_catalogue(handler: RequestHandler, sign: Sign) -> None:
    await handler(delivery(ConnectRequest(client="c1", token=sign({"sub": "42"}))))
    await handler(Delivery("warren.rpc", "auth.connect", b"?"))

    readings = list(collector(handler)())

    assert {reading.spec for reading in readings} == set(CATALOGUE)
    values = {(reading.spec, reading.labels): getattr(reading, "value", None) for reading in readings}
    assert values[REQUESTS, ("auth.connect", "admitted")] == 1
    assert values[REJECTED, ()] == 1
