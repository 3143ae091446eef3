"""One client's flood is worked off in turns of the event loop, and leaves the rest of each to others."""

from __future__ import annotations

from warren_gateway.adapters.frames import Opcode

from .socket_link import links, pings, text

MUCH = 1_000
A_TURN = 100
"""More than one connection may have handled in one turn."""


async def test_a_flood_of_pings_is_answered_once_a_turn_with_the_latest() -> None:
    async with links() as gateway:
        link, transport = gateway.open()
        link.data_received(pings(b"%d" % number for number in range(MUCH)))
        (first,) = transport.frames(Opcode.PONG)
        assert int(first) < A_TURN
        assert not transport.reading, "the socket is not read while what came waits"
        gateway.turns.run()
        assert transport.frames(Opcode.PONG)[-1] == b"%d" % (MUCH - 1)
        assert MUCH / A_TURN <= len(transport.written) <= MUCH / 10
        assert transport.reading


async def test_a_flood_of_cheap_commands_is_answered_in_order_a_part_in_each_turn() -> None:
    async with links() as gateway:
        link, transport = await gateway.let_in()
        taken = gateway.connections.counters.commands
        link.data_received(text(*(f'{{"id":{number},"ping":{{}}}}' for number in range(2, MUCH))))
        before = 0
        while taken["ping"] < MUCH - 2:
            assert before < taken["ping"] <= before + A_TURN
            before = taken["ping"]
            gateway.turns.turn()
        assert [message["id"] for message in transport.messages] == list(range(1, MUCH))


async def test_a_flood_of_messages_of_one_command_is_bounded_just_so() -> None:
    async with links() as gateway:
        link, transport = await gateway.let_in()
        link.data_received(b"".join(text(f'{{"id":{number},"ping":{{}}}}') for number in range(2, MUCH)))
        assert 0 < gateway.connections.counters.commands["ping"] <= A_TURN
        gateway.turns.run()
        assert [message["id"] for message in transport.messages] == list(range(1, MUCH))


async def test_two_who_flood_share_the_turns() -> None:
    async with links() as gateway:
        flood = [f'{{"id":{number},"ping":{{}}}}' for number in range(2, MUCH)]
        (one, to_one), (other, to_other) = await gateway.let_in("1"), await gateway.let_in("2")
        one.data_received(text(*flood))
        other.data_received(text(*flood))
        for _ in range(5):
            gateway.turns.turn()
        assert 1 < len(to_one.written) == len(to_other.written)


async def test_what_waits_for_an_answer_goes_on_in_a_turn_of_its_own() -> None:
    async with links(rules={"command_concurrency": 1}) as gateway:
        link, transport = await gateway.let_in()
        publish = '{"id":2,"publish":{"channel":"live:a","data":1}}'
        link.data_received(text(publish, *(f'{{"id":{number},"ping":{{}}}}' for number in range(3, MUCH))))
        assert gateway.connections.counters.commands["ping"] == 0, "the publish is in work"
        await gateway.until(lambda: gateway.connections.counters.commands["ping"] > 0)
        assert gateway.connections.counters.commands["ping"] <= A_TURN
        gateway.turns.run()
        assert [message["id"] for message in transport.messages] == list(range(1, MUCH))


async def test_nothing_more_is_handled_or_written_once_the_peer_turns_out_to_be_gone() -> None:
    async with links() as gateway:
        link, transport = await gateway.let_in()
        transport.break_at = len(transport.written) + 2
        link.data_received(b"".join(text(f'{{"id":{number},"ping":{{}}}}') for number in range(2, 50)) + pings([b"x"]))
        gateway.turns.run()
        assert len(transport.written) == transport.break_at


async def test_nothing_more_is_taken_from_a_client_that_is_being_closed_but_its_close() -> None:
    async with links() as gateway:
        link, transport = await gateway.let_in()
        ping = '{"id":2,"ping":{}}'
        link.data_received(text(*[ping] * 200, "garbage", *[ping] * 10) + text(ping) * 200 + pings([b"x"]))
        gateway.turns.run()
        assert gateway.connections.counters.commands["ping"] == 200
        assert transport.close_code == 3501
        assert transport.frames(Opcode.PONG) == []
        assert transport.reading, "the client's close is awaited"
        link.data_received(b"\x88\x82\x00\x00\x00\x00\x03\xe8")
        assert transport.closing


async def test_a_client_lost_between_two_turns_is_forgotten() -> None:
    async with links() as gateway:
        link, _ = await gateway.let_in()
        link.data_received(text(*['{"id":2,"ping":{}}'] * MUCH))
        link.connection_lost(None)
        gateway.turns.run()
        assert gateway.connections.counters.commands["ping"] <= A_TURN
        assert not len(gateway.connections)


async def test_a_client_that_sends_commands_and_reads_no_replies_is_closed() -> None:
    async with links() as gateway:
        link, transport = await gateway.let_in()
        transport.takes, transport.waiting = 0, transport.high - 100_000
        commands = text(*(f'{{"id":{number},"ping":{{}}}}' for number in range(2, MUCH)))
        for _ in range(5):
            link.data_received(commands)
        gateway.turns.run()
        assert transport.close_code == 3008
        assert gateway.connections.counters.commands["ping"] < 4 * MUCH
