"""Partitions against a simple truth: who is subscribed to what, through any order of misfortunes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from warren_presence.domain.effects import Announce, Answer, Effect, Note, SendProbe
from warren_presence.domain.partition import Input
from warren_presence.domain.questions import Question
from warren_shared.contracts.presence import Heartbeat, Joined, Left, Member, Members, Snapshot, Stopped
from warren_shared.contracts.publication import DeliverType

from .presence_world import CHANNELS, PARTITIONS, Gateway, Place, Process, Queue, is_announced

STEP = 0.25
BEAT_STEPS = 12
EXPIRY = 12.0
"""A gateway that could not be reached for less than this ago may be gone to one partition and not to another."""
A_GATEWAY = st.sampled_from(["g1", "g2"])
A_CHANNEL = st.sampled_from(CHANNELS)
A_PARTITION = st.integers(0, PARTITIONS - 1)


class World(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.now = 1000.0
        self.numbers = count(1)
        self.gateways = {name: Gateway(name, next(self.numbers), 100.0) for name in ("g1", "g2")}
        self.processes = [self.new_process(), self.new_process()]
        self.queues = [Queue(active=self.processes[0]) for _ in range(PARTITIONS)]
        self.home = {channel: number % PARTITIONS for number, channel in enumerate(CHANNELS)}
        self.outage_for = 0
        self.announcements: dict[Place, list[DeliverType]] = {}
        self.answers: list[Answer] = []
        self.index_is_whole = True
        self.unaccountable: set[Place] = set()  # whose announcements nobody could get right
        self.advance(8)

    def new_process(self) -> Process:
        return Process.named(f"p{next(self.numbers)}")

    # What happens

    @rule(name=A_GATEWAY, channel=A_CHANNEL)
    def somebody_joins(self, name: str, channel: str) -> None:
        gateway, client = self.gateways[name], f"c{next(self.numbers)}"
        if gateway.alive:
            gateway.rooms.setdefault(channel, set()).add(client)
            member = Member(client=client, user="u")
            gateway.report(Joined, channel=channel, member=member, announce=is_announced(channel))

    @rule(name=A_GATEWAY, channel=A_CHANNEL, data=st.data())
    def somebody_leaves(self, name: str, channel: str, data: st.DataObject) -> None:
        gateway = self.gateways[name]
        clients = gateway.rooms.get(channel)
        if clients:
            client = data.draw(st.sampled_from(sorted(clients)))
            clients.discard(client)
            if not clients:
                del gateway.rooms[channel]
            member = Member(client=client, user="u")
            gateway.report(Left, channel=channel, member=member, announce=is_announced(channel))

    @rule(name=A_GATEWAY)
    def a_gateway_crashes(self, name: str) -> None:
        gateway = self.gateways[name]
        if not self.index_is_whole:
            self.unaccountable |= gateway.places() | gateway.unsaid()
        gateway.alive = False
        gateway.rooms.clear()
        gateway.unsent.clear()

    @rule(name=A_GATEWAY)
    def a_gateway_stops_in_good_order(self, name: str) -> None:
        gateway = self.gateways[name]
        if gateway.alive and not self.unreachable(gateway):
            gateway.report(Stopped)
            self.publish(gateway.unsent)
            self.a_gateway_crashes(name)

    @rule(name=A_GATEWAY, clock=st.sampled_from([1, 1, 0, -50]))
    def a_gateway_starts_anew(self, name: str, clock: int) -> None:
        """Its machine's clock may stand still or be set back in between."""
        self.a_gateway_crashes(name)
        started = self.gateways[name].started + clock
        void_until = self.now if clock > 0 else self.now + 15
        self.gateways[name] = Gateway(
            name, next(self.numbers), started, void_until, cut_off=self.now, reached=(self.now, self.now)
        )

    @rule(name=A_GATEWAY, channel=A_CHANNEL)
    def a_run_that_is_over_speaks(self, name: str, channel: str) -> None:
        zombie = Gateway(name, 0, self.gateways[name].started - 100)
        member = Member(client=f"c{next(self.numbers)}", user="u")
        zombie.report(Joined, channel=channel, member=member, announce=is_announced(channel))
        self.publish(zombie.unsent)

    @rule(name=A_GATEWAY, steps=st.integers(1, 60))
    def a_gateway_loses_the_broker(self, name: str, steps: int) -> None:
        self.gateways[name].blind_for = steps
        self.gateways[name].doubts = True

    @rule(number=A_PARTITION, back=st.integers(1, 5), reconnects=st.booleans())
    def a_delivery_is_repeated(self, number: int, back: int, reconnects: bool) -> None:
        queue = self.queues[number]
        queue.messages.extendleft(reversed(queue.last_batch[-back:]))
        if reconnects and queue.active is not None and queue.messages:
            queue.active.reconnected.add(number)

    @rule(number=A_PARTITION, fed=st.integers(0, 5), published=st.booleans())
    def an_active_process_is_killed(self, number: int, fed: int, published: bool) -> None:
        """It has read some of a batch, acked nothing, and published what that caused or not."""
        process = self.queues[number].active
        if process is None:
            return
        for other, queue in enumerate(self.queues):
            if queue.active is process:
                for message in list(queue.messages)[:fed]:
                    effects = process.partitions[other].feed(message, self.now)
                    if published:
                        self.carry_out(effects, other)
        self.processes[self.processes.index(process)] = self.new_process()
        self.hand_over(process)

    @rule(number=A_PARTITION, steps=st.integers(1, 400))
    def an_active_process_loses_the_broker(self, number: int, steps: int) -> None:
        process = self.queues[number].active
        if process is not None:
            process.away_for = steps
            process.lose_connection()
            self.hand_over(process)

    @rule(number=A_PARTITION, steps=st.integers(1, 60))
    def an_active_process_stands_still(self, number: int, steps: int) -> None:
        process = self.queues[number].active
        if process is not None:
            process.stalled_for = steps

    @precondition(lambda self: len({id(queue.active) for queue in self.queues}) == 1)
    @rule(number=A_PARTITION)
    def the_broker_lets_another_process_work_on_a_partition(self, number: int) -> None:
        process = self.queues[number].active
        if process is not None:
            self.hand_over(process, only=number)

    @rule(steps=st.integers(1, 60), forgets=st.booleans())
    def the_broker_stands_still(self, steps: int, forgets: bool) -> None:
        self.outage_for = steps
        if forgets:
            for queue in self.queues:
                queue.messages.clear()
            for process in self.processes:
                process.lose_connection()
            self.distrust_announcements()

    @rule(steps=st.integers(0, 60), homes=st.tuples(*[A_PARTITION for _ in CHANNELS]), alone=st.booleans())
    def the_broker_restarts_and_deals_channels_anew(self, steps: int, homes: tuple[int, ...], alone: bool) -> None:
        """What waits in a queue stays there, to be read by the partition that had the channel before."""
        if alone:
            for name in self.gateways:
                self.somebody_joins(name, CHANNELS[0])
            self.all_is_well_after_a_while()
        self.outage_for = steps
        for process in self.processes:
            process.lose_connection()
        moved = {channel for channel, home in zip(CHANNELS, homes, strict=True) if self.home[channel] != home}
        self.home = dict(zip(CHANNELS, homes, strict=True))
        for queue in self.queues:
            self.unaccountable |= set(queue.places(moved))
            queue.forget_batch(moved)
        for gateway in self.gateways.values():
            gateway.doubts = True
            if self.now - gateway.cut_off < EXPIRY:
                self.unaccountable |= {place for place in gateway.places() if place[0] in moved}
        if alone:
            told = {place: list(types) for place, types in self.announcements.items()}
            self.all_is_well_after_a_while()
            assert all(self.announcements[place] == told[place] for place in self.truth() & told.keys())

    @rule(steps=st.integers(1, 20))
    def time_passes(self, steps: int) -> None:
        self.advance(steps)

    @rule()
    def all_is_well_after_a_while(self) -> None:
        for gateway in self.gateways.values():
            gateway.blind_for = 0
        for process in self.processes:
            process.stalled_for = process.away_for = 0
        self.outage_for = 0
        self.advance(120)
        self.check_index()
        self.check_announcements()
        self.index_is_whole = True

    def teardown(self) -> None:
        if hasattr(self, "gateways"):
            self.all_is_well_after_a_while()

    # How the world goes on

    def unreachable(self, gateway: Gateway) -> bool:
        return gateway.blind_for > 0 or self.outage_for > 0

    def publish(self, messages: Iterable[Input]) -> None:
        for message in messages:
            if isinstance(message, Joined | Left | Snapshot | Question):
                self.queues[self.home[message.channel]].messages.append(message)
            else:
                for queue in self.queues:
                    queue.messages.append(message)

    def hand_over(self, process: Process, *, only: int | None = None) -> None:
        """Have somebody else, if anybody can, read from the queues a process reads from."""
        self.distrust_announcements(gone_only=True)
        for gateway in self.gateways.values():
            if self.now < gateway.void_until:  # what was void to one process is old news to the next
                self.unaccountable |= gateway.places() | gateway.unsaid()
        self.index_is_whole = False
        for number, queue in enumerate(self.queues):
            if queue.active is process and only in (None, number):
                queue.last_batch = []
                queue.active = next((each for each in self.present() if each is not process), None)
                if only is not None:
                    process.reconnected.add(number)

    def present(self) -> list[Process]:
        return [process for process in self.processes if process.away_for == 0]

    def distrust_announcements(self, *, gone_only: bool = False) -> None:
        """Without what a lost queue held, or a gateway that is gone, nobody can announce everything."""
        present = self.truth()
        self.unaccountable |= {place for place in self.announcements if not gone_only or place not in present}
        self.unaccountable |= set() if gone_only else present

    def truth(self) -> set[Place]:
        return {place for gateway in self.gateways.values() for place in gateway.places()}

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.now += STEP
            for gateway in self.gateways.values():
                self.run_gateway(gateway)
            for queue in self.queues:
                if queue.active is None:
                    queue.active = next(iter(self.present()), None)
            for process in self.processes:
                self.run_process(process)
            self.outage_for = max(0, self.outage_for - 1)

    def run_gateway(self, gateway: Gateway) -> None:
        if not gateway.alive:
            return
        gateway.next_beat -= 1
        if self.unreachable(gateway):
            gateway.blind_for = max(0, gateway.blind_for - 1)
            gateway.cut_off = self.now
            return
        gateway.report_of_its_own_accord()
        if gateway.next_beat <= 0:
            gateway.next_beat = BEAT_STEPS
            gateway.report(Heartbeat)
        gateway.answer_a_little()
        if gateway.unsent:
            gateway.reached = gateway.reached[1], self.now
        self.publish(gateway.unsent)
        gateway.unsent.clear()

    def run_process(self, process: Process) -> None:
        if process.stalled_for > 0:
            process.stalled_for -= 1
            return
        if process.away_for > 0:
            process.away_for -= 1
        elif self.outage_for == 0:
            for number, queue in enumerate(self.queues):
                if queue.active is process and queue.messages:
                    self.read(process, number)
        for number, partition in enumerate(process.partitions):
            self.carry_out(partition.tick(self.now), number)
        for request in process.syncs.take():
            for gateway in self.gateways.values():
                reached = request.gateway in (None, gateway.name) and not self.unreachable(gateway)
                if reached and gateway.alive:
                    gateway.asked(request.sync)

    def read(self, process: Process, number: int) -> None:
        queue, partition = self.queues[number], process.partitions[number]
        queue.last_batch = list(queue.messages)
        queue.messages.clear()
        if number in process.reconnected:
            process.reconnected.discard(number)
            self.carry_out(partition.reconnected(self.now), number)
        for message in queue.last_batch:
            self.carry_out(partition.feed(message, self.now), number)

    def carry_out(self, effects: Iterable[Effect], number: int) -> None:
        for effect in effects:
            match effect:
                case Announce():
                    place = (effect.channel, orjson.loads(effect.info)["client"])
                    self.announcements.setdefault(place, []).append(effect.type)
                case Answer():
                    self.answers.append(effect)
                case SendProbe() if self.outage_for == 0:
                    self.queues[number].messages.append(effect.probe)
                case Note(event="gateway_expired"):
                    self.check_silence(self.gateways[str(effect.fields["gateway"])], effect, number)
                case _:
                    pass

    # What must hold

    def check_silence(self, gateway: Gateway, note: Note, number: int) -> None:
        # What was queued in this very step came after the probe that ended the silence.
        silent = self.now - gateway.reached[gateway.reached[1] < self.now]
        superseded = note.fields["incarnation"] != gateway.incarnation
        assert superseded or not gateway.alive or silent >= 9, f"{gateway.name} was heard of {silent} s ago"
        # One partition took it for gone; that another did too, before it came back, cannot be relied on.
        self.unaccountable |= {place for place in gateway.places() if self.home[place[0]] != number}

    def check_index(self) -> None:
        for channel in CHANNELS:
            self.answers.clear()
            self.publish([Question(channel, False, "here", "1")])
            self.advance(20)
            (answer,) = self.answers
            told = {member.client for member in Members.decode(answer.body).members}
            assert told == {client for where, client in self.truth() if where == channel}

    def check_announcements(self) -> None:
        present = self.truth()
        for place, told in self.announcements.items():
            assert is_announced(place[0])
            if place not in self.unaccountable:
                assert told[-1] is (DeliverType.JOIN if place in present else DeliverType.LEAVE), (place, told)
        silent = {place for place in present if is_announced(place[0])} - set(self.announcements)
        assert silent <= self.unaccountable, silent


World.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
TestPartitionAgainstTheTruth = World.TestCase
