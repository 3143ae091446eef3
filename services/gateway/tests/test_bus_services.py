"""Calls to the other services over the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from warren_gateway.adapters.services import BusServices
from warren_gateway.bus_options import BusSideOptions
from warren_gateway.handlers.delivery_spans import DeliverySpans
from warren_gateway.handlers.request_outcomes import Method, Outcome, RequestOutcomes
from warren_gateway.ports import Call, CallResult, Publish, RequestFailedError, ServiceUnavailableError
from warren_shared.contracts.auth import Admitted, ConnectRequest, RefreshRequest, Refused
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.envelope import Message
from warren_shared.contracts.history import Page, ReadRequest
from warren_shared.contracts.presence import Member, Members, Query, Stats
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    BusError,
    DeadlineExceededError,
    Outgoing,
    PublishRejectedError,
)
from warren_shared.observability.metrics import Histogram
from warren_shared.observability.tracing import Tracing

from .bus_fakes import Client
from .bus_world import live, settle, world

OPTIONS = BusSideOptions(auth_deadline=1, presence_deadline=2, history_deadline=3, publish_deadline=4)
REMOTE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Bus:
    """Answers requests as told, and takes what is published."""

    def __init__(self, *replies: Message | BusError | bytes) -> None:
        self._replies = list(replies)
        self.requests: list[tuple[str, str, bytes, float]] = []
        self.published: list[tuple[Outgoing, float]] = []

    async def request(self, exchange: str, routing_key: str, body: bytes, *, deadline: float) -> bytes:
        self.requests.append((exchange, routing_key, body, deadline))
        reply = self._replies.pop(0)
        if isinstance(reply, BusError):
            raise reply
        return reply if isinstance(reply, bytes) else reply.encode()

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        self.published.append((message, deadline))
        for reply in self._replies:
            if isinstance(reply, BusError):
                raise reply


async def at_once(_channel: str) -> None:
    """Everything was reported to presence."""


async def no_backend(_call: Call) -> CallResult:
    raise RequestFailedError(Errors.METHOD_NOT_FOUND)


def services(
    bus: Bus,
    tracing: Tracing | None = None,
    reported: Callable[[str], Awaitable[None]] = at_once,
    options: BusSideOptions = OPTIONS,
    outcomes: RequestOutcomes | None = None,
) -> BusServices:
    counts = outcomes or RequestOutcomes(lambda: 0.0)
    return BusServices(
        bus, tracing or Tracing(None), options, counts, reported=reported, call=no_backend, tell=lambda _: None
    )


async def test_auth_is_asked_who_a_client_is() -> None:
    admitted, refused = Admitted(user="u"), Refused(code=3500, reason="invalid token", disconnect=True)
    bus = Bus(admitted, refused)
    request, refresh = ConnectRequest(client="c", token="t"), RefreshRequest(client="c", user="u", token="t")
    assert await services(bus).connect(request) == admitted
    assert await services(bus).refresh(refresh) == refused
    assert bus.requests == [
        ("warren.rpc", "auth.connect", request.encode(), 1),
        ("warren.rpc", "auth.refresh", refresh.encode(), 1),
    ]


async def test_presence_is_asked_the_way_the_channels_joins_went() -> None:
    members = Members(members=(Member(client="c"),))
    bus = Bus(members, Stats(clients=2, users=1))
    assert await services(bus).presence("chat:a") == members
    assert await services(bus).presence_stats("a") == Stats(clients=2, users=1)
    assert [asked[:3] for asked in bus.requests] == [
        ("warren.presence", "chat.a", Query(channel="chat:a").encode()),
        ("warren.presence", "_.a", Query(channel="a", stats=True).encode()),
    ]
    assert all(1 < deadline <= 2 for *_, deadline in bus.requests)


@pytest.mark.parametrize("stats", [True, False])
async def test_presence_is_asked_only_when_it_was_told_the_channels_changes(stats: bool) -> None:
    bus, told, channels = Bus(Stats() if stats else Members()), asyncio.Event(), []

    async def reported(channel: str) -> None:
        channels.append(channel)
        await told.wait()

    made = services(bus, reported=reported)
    asking = asyncio.ensure_future(made.presence_stats("chat:a") if stats else made.presence("chat:a"))
    await settle()
    assert (channels, bus.requests) == (["chat:a"], [])
    told.set()
    await asyncio.wait_for(asking, timeout=5)
    assert len(bus.requests) == 1


async def test_presence_is_asked_as_of_the_call_and_not_of_the_await() -> None:
    """Commands of a frame are handled in order: what follows a question does not show in its answer."""
    told: list[str] = []

    def reported(channel: str) -> Awaitable[None]:
        told.append(channel)
        return at_once(channel)

    made = services(Bus(Members(), Stats()), reported=reported)
    asked = [made.presence("chat:a"), made.presence_stats("chat:b")]
    assert told == ["chat:a", "chat:b"]
    await asyncio.gather(*asked)


async def test_presence_that_is_not_told_in_time_is_not_asked() -> None:
    bus = Bus(Members())

    async def reported(_channel: str) -> None:
        await asyncio.Event().wait()

    with pytest.raises(ServiceUnavailableError):
        await services(bus, reported=reported, options=BusSideOptions(presence_deadline=0.01)).presence("a")
    assert bus.requests == []


async def test_history_is_asked_for_a_stream() -> None:
    page, request = Page(epoch="E", top=3), ReadRequest(channel="chat:a", limit=5)
    bus = Bus(page)
    assert await services(bus).history(request) == page
    assert bus.requests == [("warren.rpc", "history.read", request.encode(), 3)]


@pytest.mark.parametrize("trouble", [BrokerUnavailableError("x"), DeadlineExceededError("x"), b"no message"])
@pytest.mark.parametrize(
    "call",
    [
        lambda made: made.connect(ConnectRequest(client="c")),
        lambda made: made.refresh(RefreshRequest(client="c", user="u", token="t")),
        lambda made: made.presence("a"),
        lambda made: made.presence_stats("a"),
        lambda made: made.history(ReadRequest(channel="a")),
    ],
)
async def test_a_service_that_does_not_answer_is_unavailable(
    call: Callable[[BusServices], object], trouble: BusError | bytes
) -> None:
    with pytest.raises(ServiceUnavailableError):
        await call(services(Bus(trouble)))  # type: ignore[misc]  # every call is a coroutine


@pytest.mark.parametrize("stats", [True, False])
async def test_each_request_is_counted_under_its_own_method(stats: bool) -> None:
    outcomes = RequestOutcomes(lambda: 0.0)
    made = services(Bus(DeadlineExceededError("x"), Failed(code=106, reason="limit exceeded")), outcomes=outcomes)
    with pytest.raises(ServiceUnavailableError):
        await made.refresh(RefreshRequest(client="c", user="u", token="t"))
    with pytest.raises(RequestFailedError):
        await (made.presence_stats("a") if stats else made.presence("a"))
    asked = Method.PRESENCE_STATS if stats else Method.PRESENCE
    assert {key for key, count in outcomes.counts.items() if count} == {
        (Method.REFRESH, Outcome.TIMEOUT),
        (asked, Outcome.REFUSED),
    }


async def test_a_service_that_cannot_says_why() -> None:
    failed = Failed(code=108, reason="not available")
    for call in (services(Bus(failed)).presence("a"), services(Bus(failed)).history(ReadRequest(channel="a"))):
        with pytest.raises(RequestFailedError) as caught:
            await call
        assert (caught.value.error.code, caught.value.error.temporary) == (108, False)


async def test_auth_that_cannot_decide_is_unavailable() -> None:
    with pytest.raises(ServiceUnavailableError):
        await services(Bus(Failed(code=100, reason="internal", temporary=True))).connect(ConnectRequest(client="c"))


PUBLICATION = Publish("chat:a", b'{"a":1}', b'{"user":"u","client":"c"}', "m1", durable=True)


async def test_a_publication_carries_its_id_and_publisher_and_waits_for_its_confirm() -> None:
    bus = Bus()
    await services(bus).publish(PUBLICATION)
    ((message, deadline),) = bus.published
    assert deadline == 4
    assert message == Outgoing(
        "warren.publish",
        "chat.a",
        b'{"a":1}',
        headers={"info": '{"user":"u","client":"c"}'},
        message_id="m1",
        persistent=True,
    )
    await services(bus).publish(Publish("live:a", b"1", b"{}", "m2", durable=False))
    assert not bus.published[-1][0].persistent


@pytest.mark.parametrize("trouble", [BrokerUnavailableError, DeadlineExceededError, PublishRejectedError])
async def test_a_publication_that_is_not_confirmed_failed(trouble: type[BusError]) -> None:
    with pytest.raises(ServiceUnavailableError):
        await services(Bus(trouble("x"))).publish(PUBLICATION)


class Spans:
    """Spans, kept in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()


def links_of(span: ReadableSpan) -> list[str]:
    return [f"{link.context.trace_id:032x}" for link in span.links]


@pytest.mark.parametrize(
    ("traceparent", "linked"),
    [
        (REMOTE, True),
        (None, False),
        ("rubbish", False),
        (REMOTE[:-2] + "00", False),
        ("00-" + "0" * 32 + REMOTE[35:], False),
        (REMOTE.upper(), False),
    ],
)
async def test_a_clients_trace_is_linked_never_continued(traceparent: str | None, linked: bool) -> None:
    spans, bus = Spans(), Bus()
    publication = Publish("chat:a", b'"secret"', b"{}", "m", durable=True, traceparent=traceparent)
    await services(bus, spans.tracing).publish(publication)
    (span,) = spans.all
    assert (span.name, span.kind, span.parent) == ("publish warren.publish", SpanKind.PRODUCER, None)
    assert links_of(span) == (["0af7651916cd43dd8448eb211c80319c"] if linked else [])
    context = span.get_span_context()
    assert context is not None
    assert bus.published[0][0].headers["traceparent"] == f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    assert "secret" not in span.to_json()


@pytest.mark.parametrize(
    ("traceparent", "traced"), [(REMOTE, 1), (REMOTE.encode(), 0), (5, 0), (["x"] * 60, 0), (None, 0)]
)
async def test_only_text_is_taken_for_the_trace_of_a_publication(traceparent: Any, traced: int) -> None:
    spans = Spans()
    async with world(tracing=spans.tracing) as w:
        client = Client("c")
        await w.subscribe(client, "live:a")
        await w.subscribe(client, "chat:a")
        w.route(live("live:a", b"1", {"traceparent": traceparent}))
        w.route(w.history.publish("chat:a", 2, headers={"traceparent": traceparent}))
        await w.deliver()
        assert sorted(client.data) == [1, 2]
        assert sum(len(traces) for _, traces, _ in w.observer.traced) == 2 * traced
        assert not w.dead


def test_a_traced_delivery_makes_one_span_under_and_linked_to_what_published_it() -> None:
    spans, seconds = Spans(), Histogram((1.0,))
    observer = DeliverySpans(spans.tracing, seconds)
    context = spans.tracing.incoming({"traceparent": REMOTE})
    assert context is not None
    with observer.writing("chat:a", [context], 5000):
        pass
    (span,) = spans.all
    assert (span.name, span.kind) == ("deliver warren.deliver", SpanKind.CONSUMER)
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == REMOTE[36:52]
    assert links_of(span) == [REMOTE[3:35]]
    assert span.attributes is not None
    assert span.attributes["warren.recipients"] == 5000
    assert span.attributes["messaging.system"] == "rabbitmq"
    observer.written(0.5)
    assert seconds.counts == [1, 0]
