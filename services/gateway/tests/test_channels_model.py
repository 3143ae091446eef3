"""Random lives of a gateway on one durable channel, against what every client must have seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain.requests import Subscribe, Subscribed
from warren_shared.contracts.codes import Disconnect, ErrorCode, Unsubscribe
from warren_shared.contracts.publication import Position
from warren_shared.messaging.port import Delivery

from .bus_fakes import Lines, Read
from .bus_world import World, packed, settle, world

LIMIT: Final = 6


class Sdk:
    """A client that remembers where it is, as the SDKs do, and finds every mistake."""

    def __init__(self, name: str, channel: str, truth: dict[tuple[str, int], Any]) -> None:
        self.client, self.framing, self.room = name, Lines(), 1_000_000
        self._channel, self._truth = channel, truth
        self.state = "unsubscribed"
        self.position: Position | None = None
        self.skipped = 0
        """How often it was told that something is missing."""

    def write(self, packed: bytes) -> None:
        assert self.state == "subscribed", "nothing is written before the reply or after the end"
        for line in packed.split(b"\n"):
            push = orjson.loads(line)["push"]
            assert push["channel"] == self._channel
            self._take(push["pub"])

    def unsubscribed(self, channel: str, reason: Unsubscribe) -> None:
        assert (channel, reason.code) == (self._channel, 2500)
        assert self.state == "subscribed"
        self.state = "unsubscribed"

    def cut_off(self, reason: Disconnect) -> None:
        raise AssertionError(f"everything can be shown to it: {reason}")

    def done(self, reply: Subscribed | ErrorCode) -> None:
        assert self.state == "subscribing"
        if isinstance(reply, ErrorCode):
            assert reply.temporary
            self.state = "unsubscribed"
            return
        self.state = "subscribed"
        assert reply.position is not None
        assert reply.was_recovering == (self.position is not None)
        if reply.recovered:
            assert self.position is not None
            self._recovered(self.position, reply)
        else:
            assert not reply.publications
            self.skipped += self.position is not None
            self.position = reply.position
        for publication in reply.publications:
            self._take(orjson.loads(publication))

    def _recovered(self, since: Position, reply: Subscribed) -> None:
        assert reply.position == since

    def _take(self, publication: dict[str, Any]) -> None:
        assert self.position is not None
        epoch, offset = self.position.epoch, self.position.offset
        assert publication["offset"] == offset + 1, "nothing lost, repeated or out of order"
        assert publication["data"] == self._truth[epoch, offset + 1]
        self.position = Position(epoch, offset + 1)


class LatestSdk(Sdk):
    """Where recovering gives just the latest publication."""

    def _recovered(self, since: Position, reply: Subscribed) -> None:
        assert reply.position is not None
        if not reply.publications:
            assert reply.position == since, "it has the latest"
            return
        (latest,) = reply.publications
        offset = orjson.loads(latest)["offset"]
        assert reply.position.offset == min(since.offset, offset - 1)
        if reply.position.epoch == since.epoch:
            # Who leaves out its epoch is given the latest even if it has it: it might be another stream's.
            assert offset >= since.offset, "nobody is set back"
        self.position = Position(reply.position.epoch, offset - 1)


class ChannelMachine(RuleBasedStateMachine):
    """The broker loses, repeats and holds back; history is slow or away; clients come and go."""

    channel = "chat:a"
    size = 12
    sdk: type[Sdk] = Sdk
    delta = False

    @initialize(bind_first=st.booleans())
    def begin(self, bind_first: bool) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        options = BusSideOptions(
            recovery_limit=LIMIT, hold_publications=8, unbind_grace=5, heal_longest_pause=0.0, fanout_slice=2
        )
        self.world: World = self.run(lambda: self.stack.enter_async_context(world(options, connected=bind_first)))
        self.world.history.answers = False
        self.world.history.size = self.size
        self.truth: dict[tuple[str, int], Any] = {}
        self.clients = [self.sdk(f"c{number}", self.channel, self.truth) for number in range(3)]
        self.count = self.epoch = 0
        self.left_behind: list[Read] = []
        """What was begun for the channel before it was left; it may have been followed anew since."""

    def run(self, make: Callable[[], Any]) -> Any:
        async def in_loop() -> Any:
            result = make()
            if asyncio.iscoroutine(result):
                result = await result
            await settle()
            return result

        return self.loop.run_until_complete(in_loop())

    # Publishing and delivering

    @rule(count=st.integers(1, 3), together=st.booleans())
    def publish(self, count: int, together: bool) -> None:
        deliveries = [self._published() for _ in range(count)]
        for delivery in [packed(*deliveries)] if together else deliveries:
            self.world.route(delivery)

    def _published(self) -> Delivery:
        self.count += 1
        history = self.world.history
        payload = self.payload(self.count)
        delivery = history.publish(self.channel, payload)
        self.truth[history.epoch(self.channel), history.tops[self.channel]] = payload
        return delivery

    def payload(self, count: int) -> Any:
        """What is published as the so-manieth."""
        return count

    def _take(self, count: int) -> None:
        for _ in range(min(count, len(self.world.undelivered))):
            self.world.channels.take(self.world.undelivered.popleft())

    @rule(count=st.integers(1, 4))
    def deliver(self, count: int) -> None:
        self.run(lambda: self._take(count))

    @precondition(lambda self: self.world.undelivered)
    @rule(index=st.integers(0, 3))
    def lose(self, index: int) -> None:
        """What a full queue drops."""
        del self.world.undelivered[min(index, len(self.world.undelivered) - 1)]

    @precondition(lambda self: self.world.undelivered)
    @rule()
    def repeat(self) -> None:
        self.world.undelivered.append(self.world.undelivered[0])

    @precondition(lambda self: len(self.world.undelivered) > 1)
    @rule()
    def reorder(self) -> None:
        self.world.undelivered.rotate(1)

    @precondition(lambda self: self.epoch < 2)
    @rule()
    def lose_the_stream(self) -> None:
        self.epoch += 1
        self.world.history.restart(self.channel, f"E{self.epoch + 1}")

    # Clients

    @rule(who=st.integers(0, 2), recover=st.booleans(), guess=st.booleans(), arriving=st.integers(0, 2))
    def subscribe(self, who: int, recover: bool, guess: bool, arriving: int) -> None:
        """While ``arriving`` publications have arrived and were not written yet."""
        client = self.clients[who]
        if client.state != "unsubscribed":
            return
        client.state = "subscribing"
        if not recover:
            client.position = None
        since = client.position
        if since is not None and guess:
            # SDKs leave out an epoch they do not know; it must still be the right stream then.
            since = Position("", since.offset) if since.epoch == self.world.history.epoch(self.channel) else since
        request = Subscribe(self.channel, recoverable=True, positioned=True, recover_from=since, delta=self.delta)

        def between() -> None:
            self._take(arriving)
            self.world.channels.subscribe(request, client, client.done)
            self._take(arriving)

        self.run(between)

    @rule(who=st.integers(0, 2))
    def unsubscribe(self, who: int) -> None:
        client = self.clients[who]
        client.state = "unsubscribed"
        self.run(lambda: self.world.channels.unsubscribe(self.channel, client))

    # History

    @precondition(lambda self: self.world.history.waiting)
    @rule()
    def serve_read(self) -> None:
        self.world.history.serve(self.world.history.waiting[0])

    @precondition(lambda self: self.world.history.waiting)
    @rule()
    def answer_read(self) -> None:
        read = self.world.history.waiting[0]
        self.run(lambda: self.world.history.reply(read))

    @precondition(lambda self: self.world.history.waiting)
    @rule()
    def fail_read(self) -> None:
        read = self.world.history.waiting[0]
        self.run(lambda: self.world.history.fail(read))

    # The broker and time

    @rule()
    def disconnect(self) -> None:
        if self.world.connected:
            self.run(self.world.disconnect)

    @rule()
    def connect(self) -> None:
        if not self.world.connected:
            self.run(self.world.connect)

    @rule(seconds=st.sampled_from([1.0, 6.0, 50.0]))
    def wait(self, seconds: float) -> None:
        self.run(lambda: self.world.tick(seconds))

    # What must hold

    @invariant()
    def one_read_at_a_time(self) -> None:
        under_way = self.world.history.waiting
        if not self.world.channels.followed():
            self.left_behind = list(under_way)
        assert sum(read not in self.left_behind for read in under_way) <= 1

    @invariant()
    def who_is_subscribed_is_counted(self) -> None:
        subscribed = sum(client.state == "subscribed" for client in self.clients)
        assert self.world.channels.num_subscribers(self.channel) == subscribed

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self._come_to_rest()
            top = self.world.history.tops.get(self.channel, 0)
            for client in self.clients:
                assert client.state != "subscribing", "everybody is answered"
                if client.state == "subscribed":
                    assert client.position == Position(self.world.history.epoch(self.channel), top)
        finally:
            self.loop.run_until_complete(self.stack.aclose())
            self.loop.close()

    def _come_to_rest(self) -> None:
        """Everything works again; all that is under way arrives, and a quiet channel is looked at."""
        self.connect()
        for _ in range(6):
            self.deliver(1000)
            for _ in range(60):
                if self.world.history.waiting:
                    self.answer_read()
            self.wait(50.0)
            self.wait(50.0)


class LatestMachine(ChannelMachine):
    """The same where history keeps one publication, and that is all who recovers is given."""

    channel = "last:a"
    size = 1
    sdk = LatestSdk


TestChannelMachine = ChannelMachine.TestCase
TestChannelMachine.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestLatestMachine = LatestMachine.TestCase
TestLatestMachine.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
