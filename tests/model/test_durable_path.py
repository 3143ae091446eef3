"""Random lives of a durable channel on the real gateway logic and the real store, against a model of ten lines.

The broker between them loses, repeats and reorders; both lose their connections and answers; the store is trimmed,
emptied, lost, put back and renewed; publishers repeat themselves. ``WARREN_MODEL_EXAMPLES`` says how many lives.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from model.gateway_world import gateway_world
from model.history_world import history_world, published
from model.reference import SIZE, TTL, Channel, Sdk, Stream
from warren_gateway.domain.requests import Subscribe
from warren_shared.contracts.history import Page, ReadRequest
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.publication import Position
from warren_shared.messaging.port import Delivery

CHANNEL: Final = "chat:a"
NAMES: Final = parse_namespaces(
    f"namespaces: [{{name: chat, history_size: {SIZE}, history_ttl: {TTL:.0f}s, force_recovery: true}}]"
)
CHANGES: Final = ("aged", "aged", "swept", "removed", "renewed", "lost", "backed up", "put back", "put back")
HOW: Final = ("anew", "known", "known", "known", "guess", "foreign")
LIVES: Final = 4
"""So many at most, for most of each to be quiet."""
OFTEN: Final = st.sampled_from([True, True, True, False])
EXAMPLES: Final = int(os.environ.get("WARREN_MODEL_EXAMPLES", "120"))


async def settle() -> None:
    """Let everything run that can run without something new happening."""
    for _ in range(30):
        await asyncio.sleep(0)


class DurablePathMachine(RuleBasedStateMachine):
    """Whatever happens, every client sees the model's next publication next, or is told that it cannot."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        folder = Path(self.stack.enter_context(TemporaryDirectory(prefix="warren-model-")))
        self.history = self.run(lambda: self.stack.enter_async_context(history_world(folder, NAMES)))
        self.gateway = self.run(lambda: self.stack.enter_async_context(gateway_world(NAMES)))
        self.truth = Channel(self._position_of_history().epoch)
        self.clients = [Sdk(f"c{number}", CHANNEL, self.truth, self.history.clock) for number in range(3)]
        self.to_history: deque[Delivery] = deque()
        self.published: list[Delivery] = []
        self.copy: tuple[Stream, int] | None = None

    def run(self, make: Callable[[], Awaitable[Any]]) -> Any:
        async def in_loop() -> Any:
            result = await make()
            await settle()
            return result

        return self.loop.run_until_complete(in_loop())

    def do(self, act: Callable[[], object]) -> None:
        """Do something in the loop that does not wait."""

        async def acting() -> None:
            act()

        self.run(acting)

    def _position_of_history(self) -> Page:
        page: Page = self.run(lambda: self.history.read(ReadRequest(channel=CHANNEL)))
        return page

    # Publishing, storing and delivering

    @rule(count=st.integers(1, 3), again=st.integers(0, 12), stored=OFTEN, delivered=st.integers(0, 4))
    def publish(self, count: int, again: int, stored: bool, delivered: int) -> None:
        """New ones, and perhaps an earlier one again."""
        for _ in range(count):
            number = len(self.published)
            self.published.append(published(CHANNEL, f'"{number}"', f"m{number}"))
            self.to_history.append(self.published[-1])
        if 0 < again <= len(self.published):
            self.to_history.append(self.published[-again])
        if stored:
            self.store(count, twice=False)
        self.deliver(delivered)

    @precondition(lambda self: self.to_history)
    @rule(count=st.integers(1, 6), twice=st.booleans())
    def store(self, count: int, twice: bool) -> None:
        """If ``twice``, history died before it could ack the batch."""
        self.history.clock.time += 0.01  # two things at the same millisecond are of the same age to a store
        batch = [self.to_history.popleft() for _ in range(min(count, len(self.to_history)))]
        for each in batch:
            self.truth.stream.append(each.body.decode().strip('"'), each.message_id or "", self.history.clock.now())
        for _ in range(2 if twice else 1):
            for delivery in self.run(lambda: self.history.append(batch)):
                self.gateway.route(delivery)

    @rule(count=st.integers(1, 4))
    def deliver(self, count: int) -> None:
        self.do(lambda: self.gateway.take(count))

    @precondition(lambda self: self.gateway.undelivered)
    @rule(how=st.sampled_from(["lost", "repeated", "reordered"]), index=st.integers(0, 3))
    def break_delivery(self, how: str, index: int) -> None:
        waiting = self.gateway.undelivered
        if how == "repeated":
            waiting.append(waiting[0])
        elif how == "reordered":
            waiting.rotate(1)
        else:
            del waiting[min(index, len(waiting) - 1)]

    # The store

    @rule(
        how=st.sampled_from(
            ["aged", "aged", "swept", "removed", "renewed", "lost", "backed up", "put back", "put back"]
        )
    )
    def change_the_store(self, how: str) -> None:
        match how:
            case "aged":
                self.history.clock.time += TTL + 5
            case "swept":
                self.run(self.history.sweep)
            case "removed":
                self.run(lambda: self.history.remove(CHANNEL))
                self.truth.stream.removed = len(self.truth.stream.texts)
            case "backed up" if self.copy is None:
                self.run(self.history.back_up)
                self.copy = self.truth.stream.copy(), len(self.truth.streams)
            case "put back" if self.copy is not None:
                self._put_back(*self.copy)
            case "renewed" if len(self.truth.streams) < LIVES:
                self.run(self.history.renew_epochs)
                self._another_life(self.truth.stream.copy())
            case "lost" if len(self.truth.streams) < LIVES:
                self.run(self.history.lose)
                self.copy = None
                self._another_life(Stream())

    def _put_back(self, stream: Stream, lives: int) -> None:
        if lives == len(self.truth.streams) and len(stream.texts) < len(self.truth.stream.texts):
            self.run(self.history.put_back)
            self.copy = None
            self._another_life(stream)

    def _another_life(self, stream: Stream) -> None:
        page = self._position_of_history()
        assert page.top == len(stream.texts)
        self.truth.begin(page.epoch, stream)

    # Clients

    @rule(who=st.integers(0, 2), how=st.sampled_from(HOW), arriving=st.integers(0, 2), answered=OFTEN)
    def subscribe(self, who: int, how: str, arriving: int, answered: bool) -> None:
        """While ``arriving`` publications have arrived and were not written yet."""
        client = self.clients[who]
        if client.state != "unsubscribed":
            return
        client.state, client.asked = "subscribing", self._asking(client.position, how)
        request = Subscribe(CHANNEL, recoverable=True, positioned=True, recover_from=client.asked)

        def between() -> None:
            self.gateway.take(arriving)
            self.gateway.channels.subscribe(request, client, client.done)
            self.gateway.take(arriving)

        self.do(between)
        while answered and self.gateway.reads:
            self.read("answered")

    def _asking(self, position: Position | None, how: str) -> Position | None:
        if position is None or how == "anew":
            return None
        if how == "guess" and position.epoch == self.truth.epoch:
            return Position("", position.offset)  # SDKs leave out an epoch they do not know
        return Position("_", position.offset) if how == "foreign" else position

    @rule(who=st.integers(0, 2))
    def unsubscribe(self, who: int) -> None:
        self.clients[who].state = "unsubscribed"
        self.do(lambda: self.gateway.channels.unsubscribe(CHANNEL, self.clients[who]))

    # Reads on their way, and time

    @precondition(lambda self: self.gateway.reads)
    @rule(how=st.sampled_from(["served", "answered", "answered", "failed"]))
    def read(self, how: str) -> None:
        """If it is just served, the answer is still on its way."""
        read = self.gateway.reads[0]
        if how == "failed":
            self.do(lambda: self.gateway.fail(read))
            return
        page = read.page = read.page or self.run(lambda: self.history.read(read.request))
        if how == "answered":
            self.do(lambda: self.gateway.reply(read, page))

    @rule(connect=OFTEN)
    def connection(self, connect: bool) -> None:
        if connect is not self.gateway.connected:
            self.run(self.gateway.connect if connect else self.gateway.disconnect)

    @rule(seconds=st.sampled_from([1.0, 6.0, 50.0]))
    def wait(self, seconds: float) -> None:
        def passing() -> None:
            self.gateway.now += seconds
            self.gateway.channels.tick()

        self.do(passing)

    # What must hold

    @invariant()
    def nothing_is_a_dead_letter(self) -> None:
        assert not self.gateway.dead

    def teardown(self) -> None:
        if not hasattr(self, "truth"):
            return
        try:
            self._come_to_rest()
            for client in self.clients:
                assert client.state != "subscribing", "everybody is answered"
                if client.state == "subscribed":
                    assert client.position == self.truth.top
        finally:
            self.run(self.stack.aclose)
            self.loop.close()

    def _come_to_rest(self) -> None:
        """Everything works again; all that is under way arrives, and a quiet channel is looked at."""
        self.connection(connect=True)
        while self.to_history:
            self.store(6, twice=False)
        for _ in range(6):
            self.deliver(1000)
            for _ in range(60):
                if self.gateway.reads:
                    self.read("answered")
            self.wait(50.0)
            self.wait(50.0)


TestDurablePath = DurablePathMachine.TestCase
TestDurablePath.settings = settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None)
