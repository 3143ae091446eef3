"""Removals as they are asked for over the bus, and from the command line."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from warren_history.commands import CommandError, ask_to_remove
from warren_history.domain.publications import Content, NewPublication, Retention
from warren_history.handlers.removals import Removals
from warren_history.metrics import Counts
from warren_history.ports import StoreUnavailableError
from warren_shared.contracts.envelope import decode_one_of
from warren_shared.contracts.history import Removed, RemoveRequest
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.port import Delivery

from .memory_store import MemoryStore

KEEP = Retention(10, 60_000, 30 * 86_400_000)
NOW = 1_700_000_000_000


class Service:
    """Answers as history does; a requester for the command."""

    def __init__(self) -> None:
        self.store, self.counts = MemoryStore(), Counts()
        self.removals = Removals(self.store, counts=self.counts)
        self.reply: bytes | None = None

    async def ask(self, body: bytes) -> Removed | Failed:
        reply = await self.removals.handle(Delivery("warren.rpc", "history.remove", body))
        answer = decode_one_of(reply, Removed, Failed)
        assert isinstance(answer, Removed | Failed)
        return answer

    async def request(self, exchange: str, routing_key: str, body: bytes, *, deadline: float) -> bytes:
        assert deadline > 30, "a request lives that long"
        return self.reply or await self.removals.handle(Delivery(exchange, routing_key, body))


@pytest.fixture
async def service() -> Service:
    service = Service()
    await service.store.append([NewPublication("chat:room", Content(b"1"), KEEP)] * 3, now=NOW)
    return service


async def test_a_removal_is_answered_with_how_much_it_was_and_logged(service: Service) -> None:
    with capture_logs() as logs:
        assert await service.ask(RemoveRequest(channel="chat:room").encode()) == Removed(publications=3)
        assert await service.ask(RemoveRequest(channel="chat:room").encode()) == Removed(publications=0)
    assert [(entry["event"], entry["channel"], entry["publications"]) for entry in logs] == [
        ("publications_removed", "chat:room", 3),
        ("publications_removed", "chat:room", 0),
    ]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"type":"history.remove"}', b'{"type":"history.remove","channel":"chat:*"}']
)
async def test_what_is_no_removal_removes_nothing_and_is_a_bad_request(service: Service, body: bytes) -> None:
    answer = await service.ask(body)
    assert isinstance(answer, Failed)
    assert (answer.code, answer.temporary) == (107, False)
    assert service.store.size().publications == 3


@pytest.mark.parametrize(
    "body",
    [b'{"type":"history.remove","v":99,"channel":"chat:room"}', b'{"type":"history.read","channel":"chat:room"}'],
)
async def test_what_is_not_known_here_fails_for_now_and_is_counted_apart(service: Service, body: bytes) -> None:
    answer = await service.ask(body)
    assert isinstance(answer, Failed)
    assert (answer.code, answer.temporary) == (100, True)
    assert service.counts.requests_unknown == 1
    assert service.store.size().publications == 3


async def test_a_store_that_is_down_is_a_temporary_failure(service: Service) -> None:
    service.store.fail = StoreUnavailableError("locked")
    answer = await service.ask(RemoveRequest(channel="chat:room").encode())
    assert answer == Failed(code=100, reason="locked", temporary=True)
    assert service.counts.store_failures == 1


async def test_the_command_says_what_was_done(service: Service) -> None:
    assert await ask_to_remove(service, "chat:room") == "removed 3 publications of chat:room"


@pytest.mark.parametrize("reply", [Failed(code=100, reason="locked", temporary=True).encode(), b"{}", b""])
async def test_the_command_fails_with_one_line_of_why(service: Service, reply: bytes) -> None:
    service.reply = reply or None
    channel = "chat:room" if reply else "chat:*"
    with pytest.raises(CommandError) as caught:
        await ask_to_remove(service, channel)
    assert "\n" not in str(caught.value)
