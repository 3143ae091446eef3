"""Answers to ``history.read``."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from warren_history.domain.publications import Content, NewPublication, Retention
from warren_history.domain.reading import ReadLimits
from warren_history.handlers.reads import Reads
from warren_history.metrics import REQUESTS_UNKNOWN, Counts
from warren_history.ports import StoreUnavailableError
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.envelope import decode_one_of
from warren_shared.contracts.history import Page, ReadRequest
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.port import Delivery
from warren_shared.observability.metrics import Reading

from .fakes import FakeClock
from .memory_store import MemoryStore

NAMESPACES = parse_namespaces("namespaces: [{name: chat, history_size: 10, history_ttl: 1m}, {name: live}]")
KEEP = Retention(10, 60_000, 30 * 86_400_000)
NOW = 1_700_000_000_000


class Service:
    def __init__(self) -> None:
        self.store, self.clock, self.counts = MemoryStore(), FakeClock(), Counts()
        self.reads = Reads(self.store, NAMESPACES, limits=ReadLimits(3, 1000), clock=self.clock, counts=self.counts)

    async def ask(self, request: ReadRequest | bytes) -> Page | Failed:
        body = request if isinstance(request, bytes) else request.encode()
        reply = await self.reads.handle(Delivery("warren.rpc", "history.read", body))
        answer = decode_one_of(reply, Page, Failed)
        assert isinstance(answer, Page | Failed)
        return answer

    async def page(self, request: ReadRequest) -> Page:
        answer = await self.ask(request)
        assert isinstance(answer, Page)
        return answer


@pytest.fixture
async def service() -> Service:
    service = Service()
    batch = [NewPublication("chat:room", Content(str(number).encode()), KEEP) for number in range(1, 6)]
    await service.store.append(batch, now=NOW)
    return service


def failed(error: ErrorCode) -> Failed:
    return Failed(code=error.code, reason=error.message, temporary=error.temporary)


async def test_a_read_is_answered_with_a_page(service: Service) -> None:
    page = await service.page(ReadRequest(channel="chat:room", limit=2, since_offset=1))
    assert (page.epoch, page.top) == ("epoch-1", 5)
    assert [(entry.offset, entry.data, entry.time) for entry in page.publications] == [(2, "2", NOW), (3, "3", NOW)]
    assert service.counts.reads == {"ok": 1}
    assert service.counts.read_publications == 2


async def test_limit_zero_is_the_position_and_minus_one_a_whole_page(service: Service) -> None:
    assert (await service.page(ReadRequest(channel="chat:room"))).publications == ()
    everything = await service.page(ReadRequest(channel="chat:room", limit=-1))
    assert [entry.offset for entry in everything.publications] == [1, 2, 3]


async def test_a_reader_gets_to_the_top_page_by_page(service: Service) -> None:
    seen: list[int] = []
    while True:
        page = await service.page(ReadRequest(channel="chat:room", limit=-1, since_offset=seen[-1] if seen else 0))
        seen.extend(entry.offset for entry in page.publications)
        if seen[-1] == page.top:
            break
    assert seen == [1, 2, 3, 4, 5]


async def test_reverse_reads_the_newest_first(service: Service) -> None:
    page = await service.page(ReadRequest(channel="chat:room", limit=2, reverse=True))
    assert [entry.offset for entry in page.publications] == [5, 4]


async def test_time_passes_for_reads_by_the_clock(service: Service) -> None:
    service.clock.time += 60
    page = await service.page(ReadRequest(channel="chat:room", limit=-1))
    assert (page.publications, page.top) == ((), 5)


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("gone:room", Errors.UNKNOWN_CHANNEL),
        ("live:room", Errors.NOT_AVAILABLE),
        ("chat:*", Errors.BAD_REQUEST),
    ],
)
async def test_what_cannot_be_read_fails_with_the_protocols_code(
    service: Service, channel: str, error: ErrorCode
) -> None:
    assert await service.ask(ReadRequest(channel=channel)) == failed(error)
    assert service.counts.reads == {str(error.code): 1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"type":"history.read"}',
        b'{"type":"history.read","channel":"chat:room","limit":-2}',
        b'{"type":"history.read","channel":"chat:room","since_offset":-1}',
    ],
)
async def test_a_request_that_is_not_understood_fails_as_a_bad_request(service: Service, body: bytes) -> None:
    with capture_logs() as logs:
        assert await service.ask(body) == failed(Errors.BAD_REQUEST)
    assert [entry["event"] for entry in logs] == ["request_rejected"]
    assert service.counts.requests_unknown == 0


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"history.read","v":99,"channel":"chat:room"}',
        b'{"type":"history.invented_later","channel":"chat:room"}',
        b'{"type":"history.remove","channel":"chat:room"}',
    ],
)
async def test_a_request_of_a_newer_gateway_fails_for_now_and_is_counted_apart(service: Service, body: bytes) -> None:
    with capture_logs() as logs:
        assert await service.ask(body) == failed(Errors.INTERNAL)
    assert Errors.INTERNAL.temporary
    assert [(entry["event"], entry["code"]) for entry in logs] == [("request_rejected", 100)]
    assert service.counts.requests_unknown == 1
    assert Reading(REQUESTS_UNKNOWN, 1) in list(service.counts.readings())


async def test_a_store_that_is_down_is_a_temporary_failure(service: Service) -> None:
    service.store.fail = StoreUnavailableError("locked")
    assert await service.ask(ReadRequest(channel="chat:room")) == failed(Errors.INTERNAL)
    assert Errors.INTERNAL.temporary
    assert service.counts.store_failures == 1
    service.store.fail = None
    assert isinstance(await service.ask(ReadRequest(channel="chat:room")), Page)


async def test_new_namespaces_decide_on_the_next_read(service: Service) -> None:
    service.reads.use(parse_namespaces("namespaces: [{name: live, history_size: 10, history_ttl: 1m}]"))
    assert isinstance(await service.ask(ReadRequest(channel="live:room")), Page)
    assert await service.ask(ReadRequest(channel="chat:room")) == failed(Errors.UNKNOWN_CHANNEL)
