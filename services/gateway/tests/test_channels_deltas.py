"""Publications as deltas: every subscriber can put together every payload, and each delta is made once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson
import pytest
from centrifuge.fossil import apply_delta  # type: ignore[import-untyped]  # the SDK carries no type marker
from hypothesis import settings

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain import fossil
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.protobuf.encoding import PROTOBUF
from warren_gateway.ports import Subscribe
from warren_shared.contracts.codes import Unsubscribes
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.publication import Position

from .bus_fakes import NAMESPACES, Client, Lines
from .bus_world import World, packed, settle, world
from .protobuf_client import replies_in
from .test_channels_model import ChannelMachine, LatestSdk, Sdk
from .test_mixed_channels import Delimited

ROWS: Final = [f"row {number} of the board, as it always is" for number in range(40)]


def document(number: int) -> dict[str, Any]:
    """The rows are the same in each, but no two have all in the same places: a delta is right against one alone."""
    turned = number * 7 % len(ROWS)
    return {"rows": ROWS[turned:] + ROWS[:turned], "number": number}


class Decoder:
    """Puts payloads together as the SDKs do."""

    def __init__(self) -> None:
        self.before = b""
        self.deltas = 0

    def take(self, data: bytes, *, delta: bool) -> Any:
        self.deltas += delta
        self.before = bytes(apply_delta(self.before, data)) if delta else data
        return orjson.loads(self.before)


def of_json(client: Client, decoder: Decoder, recovered: Sequence[bytes] = ()) -> Iterator[Any]:
    """The payloads that a client of JSON was given."""
    for publication in (*map(orjson.loads, recovered), *(push["pub"] for push in client.pushes)):
        assert isinstance(publication["data"], str)
        yield decoder.take(publication["data"].encode(), delta=publication.get("delta", False))


def of_protobuf(client: Client, decoder: Decoder) -> Iterator[Any]:
    for frame in client.frames:
        for reply in replies_in(frame):
            yield decoder.take(reply.push.pub.data, delta=reply.push.pub.delta)


async def follow(w: World, client: Client, channel: str, since: Position | None = None) -> Client:
    request = Subscribe(channel, recoverable=True, positioned=True, recover_from=since, delta=True)
    w.channels.subscribe(request, client, client.done)
    await settle()
    return client


async def test_the_first_publication_comes_whole_and_all_others_as_deltas_in_both_encodings() -> None:
    async with world() as w:
        text, binary = Client("j"), Client("p", Delimited())
        await follow(w, text, "board:a")
        await follow(w, binary, "board:a")
        for number in range(5):
            await w.publish("board:a", document(number))
        for got in (of_json(text, Decoder()), of_protobuf(binary, Decoder())):
            assert list(got) == [document(number) for number in range(5)]
        assert [push["pub"].get("delta", False) for push in text.pushes] == [False, True, True, True, True]
        assert len(text.frames[1]) < len(text.frames[0]) / 4


async def test_a_burst_is_written_once_with_the_first_of_it_whole_for_who_has_none_yet() -> None:
    async with world() as w:
        client = await follow(w, Client("j"), "board:a")
        w.route(packed(*(w.history.publish("board:a", document(number)) for number in range(4))))
        await w.deliver()
        decoder = Decoder()
        assert list(of_json(client, decoder)) == [document(number) for number in range(4)]
        assert decoder.deltas == 3


async def test_each_delta_is_made_once_whoever_gets_it_and_none_where_nobody_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = 0
    real = fossil.delta_of

    def counting(*given: Any, **options: Any) -> bytes:
        nonlocal made
        made += 1
        return real(*given, **options)

    for module in ("json_deltas", "protobuf.deltas"):
        monkeypatch.setattr(f"warren_gateway.domain.{module}.delta_of", counting)
    async with world() as w:
        plain = Client("plain")
        await w.subscribe(plain, "board:a")
        await w.publish("board:a", document(0), document(1))
        assert made == 0
        lines = Lines()
        for number in range(20):
            await follow(w, Client(f"j{number}", lines), "board:a")
        await follow(w, Client("p", Delimited()), "board:a")
        await w.publish("board:a", document(2))
        await w.publish("board:a", document(3), document(4))
        assert made == 4
        assert plain.data == [document(number) for number in range(5)]


async def test_who_comes_later_begins_with_a_whole_one_while_the_others_go_on() -> None:
    async with world() as w:
        early = await follow(w, Client("early"), "board:a")
        await w.publish("board:a", document(0), document(1))
        late = await follow(w, Client("late"), "board:a")
        await w.publish("board:a", document(2), document(3))
        assert list(of_json(early, Decoder())) == [document(number) for number in range(4)]
        assert list(of_json(late, Decoder())) == [document(2), document(3)]
        assert [push["pub"].get("delta", False) for push in late.pushes] == [False, True]


async def test_who_recovers_is_given_a_chain_that_goes_on() -> None:
    async with world() as w:
        for number in range(6):
            w.history.publish("board:a", document(number))
        lines = Lines()
        first = await follow(w, Client("a", lines), "board:a", Position("E1", 2))
        second = await follow(w, Client("b", lines), "board:a", Position("E1", 2))
        await w.publish("board:a", document(6), document(7))
        for client in (first, second):
            decoder = Decoder()
            got = list(of_json(client, decoder, client.reply.publications))
            assert got == [document(number) for number in range(2, 8)]
            assert decoder.deltas >= 4
        assert all(one is other for one, other in zip(first.reply.publications, second.reply.publications, strict=True))


async def test_who_recovers_and_missed_nothing_begins_with_a_whole_one() -> None:
    async with world() as w:
        w.history.publish("board:a", document(0))
        client = await follow(w, Client("a"), "board:a", Position("E1", 1))
        assert client.reply.recovered
        await w.publish("board:a", document(1), document(2))
        assert list(of_json(client, Decoder())) == [document(1), document(2)]
        assert "delta" not in client.pushes[0]["pub"]


async def test_what_is_shown_after_a_gap_was_healed_is_a_delta_against_what_was_before() -> None:
    async with world() as w:
        client = await follow(w, Client("a"), "board:a")
        await w.publish("board:a", document(0))
        w.history.publish("board:a", document(1))  # lost on its way
        await w.publish("board:a", document(2))
        await settle()
        assert list(of_json(client, Decoder())) == [document(number) for number in range(3)]


async def test_in_cache_mode_the_latest_comes_whole_and_deltas_follow() -> None:
    async with world() as w:
        w.history.publish("score:a", document(0))
        client = await follow(w, Client("a"), "score:a", Position("", 0))
        await w.publish("score:a", document(1), document(2))
        decoder = Decoder()
        got = list(of_json(client, decoder, client.reply.publications))
        assert got == [document(number) for number in range(3)]


async def test_where_publications_may_not_be_deltas_all_come_whole_but_as_strings() -> None:
    async with world() as w:
        client = await follow(w, Client("a"), "quote:a")
        await w.publish("quote:a", document(0), document(1))
        decoder = Decoder()
        assert list(of_json(client, decoder)) == [document(0), document(1)]
        assert decoder.deltas == 0


async def test_what_shares_nothing_comes_whole() -> None:
    async with world() as w:
        client = await follow(w, Client("a"), "board:a")
        await w.publish("board:a", document(0), "something else", 7)
        decoder = Decoder()
        assert list(of_json(client, decoder)) == [document(0), "something else", 7]
        assert decoder.deltas == 0


async def test_the_option_taken_away_leaves_nobody_with_what_it_cannot_put_together() -> None:
    async with world() as w:
        client = await follow(w, Client("a"), "board:a")
        await w.publish("board:a", document(0))
        w.channels.use(parse_namespaces(NAMESPACES.replace(", delta_publish: true", "")))
        await w.publish("board:a", document(1), document(2))
        decoder = Decoder()
        assert list(of_json(client, decoder)) == [document(number) for number in range(3)]
        assert decoder.deltas == 0


async def test_bytes_that_are_no_json_are_deltas_for_who_speaks_protobuf() -> None:
    async with world() as w:
        board = "{name: board, publication_data_format: binary, history_size: 1000,"
        w.channels.use(parse_namespaces(NAMESPACES.replace("{name: board, history_size: 1000,", board)))
        client = await follow(w, Client("p", Delimited(PROTOBUF)), "board:a")
        bodies = [bytes(range(256)) * 4 + bytes([number]) for number in range(3)]
        before, got = b"", []
        for number, body in enumerate(bodies):
            delivery = w.history.publish("board:a", number)
            object.__setattr__(delivery, "body", body)
            w.route(delivery)
        await w.deliver()
        for reply in (reply for frame in client.frames for reply in replies_in(frame)):
            publication: pb.Publication = reply.push.pub
            before = bytes(apply_delta(before, publication.data)) if publication.delta else publication.data
            got.append(before)
        assert got == bodies


async def test_who_leaves_and_comes_back_begins_anew() -> None:
    async with world() as w:
        client = await follow(w, Client("a"), "board:a")
        await w.publish("board:a", document(0), document(1))
        w.channels.unsubscribe("board:a", client)
        await w.publish("board:a", document(2))
        again = await follow(w, Client("a"), "board:a")
        await w.publish("board:a", document(3), document(4))
        assert list(of_json(again, Decoder())) == [document(3), document(4)]


async def test_who_is_lost_gets_no_delta_against_what_it_never_had() -> None:
    async with world(BusSideOptions(fanout_pending_bytes=2_000)) as w:
        client = await follow(w, Client("a"), "board:a")
        for number in range(4):
            w.channels.take(w.history.publish("board:a", document(number)))
        await settle()
        assert client.ended == [("board:a", Unsubscribes.INSUFFICIENT_STATE)]


async def test_who_recovers_on_a_channel_that_was_lost_gets_no_delta_against_what_was_before_that() -> None:
    async with world() as w:
        early = await follow(w, Client("early"), "board:a")
        await w.publish("board:a", document(0))
        for number in (1, 2):
            w.history.publish("board:a", document(number))  # lost on their way
        w.history.size = 1  # and gone from history but for the last
        w.history.publish("board:a", document(3))
        await w.disconnect()
        await w.connect()
        await settle()
        assert early.ended == [("board:a", Unsubscribes.INSUFFICIENT_STATE)]
        w.history.size = 1000
        client = await follow(w, Client("late"), "board:a", Position("E1", 3))
        assert len(client.reply.publications) == 1
        await w.publish("board:a", document(4), document(5))
        got = list(of_json(client, Decoder(), client.reply.publications))
        assert got == [document(number) for number in (3, 4, 5)]


class DeltaSdk(Sdk):
    """Puts every payload together."""

    def __init__(self, name: str, channel: str, truth: dict[tuple[str, int], Any]) -> None:
        super().__init__(name, channel, truth)
        self._decoder = Decoder()

    def _take(self, publication: dict[str, Any]) -> None:
        data = self._decoder.take(publication["data"].encode(), delta=publication.get("delta", False))
        super()._take(publication | {"data": data})


class DeltaMachine(ChannelMachine):
    """All that can happen to a channel, for clients with deltas."""

    channel = "board:a"
    sdk = DeltaSdk
    delta = True

    def payload(self, count: int) -> Any:
        return document(count)


class LatestDeltaSdk(DeltaSdk, LatestSdk):
    """The same where recovering gives just the latest."""


class LatestDeltaMachine(DeltaMachine):
    """The same where history keeps one publication."""

    channel = "score:a"
    size = 1
    sdk = LatestDeltaSdk


TestDeltaMachine = DeltaMachine.TestCase
TestDeltaMachine.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestLatestDeltaMachine = LatestDeltaMachine.TestCase
TestLatestDeltaMachine.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
