"""A partition against a simple truth: who is subscribed to what, through any order of misfortunes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from warren_presence.domain.effects import Announce, Answer, Effect, Note, SendProbe
from warren_presence.domain.partition import Input, Partition
from warren_presence.domain.questions import Question
from warren_presence.domain.syncs import Syncs
from warren_shared.contracts.presence import (
    Heartbeat,
    Joined,
    Left,
    Member,
    Members,
    Snapshot,
    Stopped,
    Synced,
)
from warren_shared.contracts.publication import DeliverType

STEP = 0.25
BEAT_STEPS = 12
ANNOUNCED, QUIET = "announced", "quiet"
Place = tuple[str, str]


@dataclass
class Gateway:
    """A gateway as presence knows it: it reports what happens, in order, when the broker can be reached."""

    name: str
    run: int
    started: float
    void_until: float = 0.0
    alive: bool = True
    blind_for: int = 0
    next_beat: int = 0
    reached: tuple[float, float] = (0.0, 0.0)
    rooms: dict[str, set[str]] = field(default_factory=dict)
    unsent: list[Input] = field(default_factory=list)
    answering: deque[tuple[str, list[str]]] = field(default_factory=deque)

    @property
    def incarnation(self) -> str:
        return f"run{self.run}"

    @property
    def identity(self) -> dict[str, object]:
        return {"gateway": self.name, "incarnation": self.incarnation, "started": self.started}

    def places(self) -> set[Place]:
        return {(channel, client) for channel, clients in self.rooms.items() for client in clients}

    def unsaid(self) -> set[Place]:
        return {(each.channel, each.member.client) for each in self.unsent if isinstance(each, Joined | Left)}

    def report(self, kind: type[Joined | Left | Snapshot | Synced | Heartbeat | Stopped], **fields: object) -> None:
        self.unsent.append(kind.model_validate({**self.identity, **fields}))

    def asked(self, sync: str) -> None:
        self.answering.append((sync, list(self.rooms)))

    def answer_a_little(self) -> None:
        """Report one room, as it is now; others may change before they are reported."""
        if self.answering:
            sync, channels = self.answering[0]
            if channels:
                self.report_room(channels.pop(0), sync)
            else:
                self.report(Synced, sync=sync)
                self.answering.popleft()

    def report_room(self, channel: str, sync: str) -> None:
        members = tuple(Member(client=client, user="u") for client in sorted(self.rooms.get(channel, ())))
        self.report(Snapshot, channel=channel, members=members, announce=channel == ANNOUNCED, sync=sync)


@dataclass
class Process:
    """A presence process: it ticks unless it stands still, and reads if the broker lets it."""

    partition: Partition
    syncs: Syncs
    stalled_for: int = 0
    away_for: int = 0
    reconnected: bool = False


class World(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.now = 1000.0
        self.numbers = count(1)
        self.queue: deque[Input] = deque()
        self.last_batch: list[Input] = []
        self.gateways = {name: Gateway(name, next(self.numbers), 100.0) for name in ("g1", "g2")}
        self.processes = [self.new_process(), self.new_process()]
        self.active: Process | None = self.processes[0]
        self.outage_for = 0
        self.announcements: dict[Place, list[DeliverType]] = {}
        self.answers: list[Answer] = []
        self.index_is_whole = True
        self.unaccountable: set[Place] = set()  # whose announcements nobody could get right
        self.advance(8)

    def new_process(self) -> Process:
        name = f"p{next(self.numbers)}"
        syncs = Syncs(name)
        return Process(Partition(name, syncs, max_members=100, max_held=100), syncs)

    # What happens

    @rule(name=st.sampled_from(["g1", "g2"]), channel=st.sampled_from([ANNOUNCED, QUIET]))
    def somebody_joins(self, name: str, channel: str) -> None:
        gateway, client = self.gateways[name], f"c{next(self.numbers)}"
        if gateway.alive:
            gateway.rooms.setdefault(channel, set()).add(client)
            member = Member(client=client, user="u")
            gateway.report(Joined, channel=channel, member=member, announce=channel == ANNOUNCED)

    @rule(name=st.sampled_from(["g1", "g2"]), channel=st.sampled_from([ANNOUNCED, QUIET]), data=st.data())
    def somebody_leaves(self, name: str, channel: str, data: st.DataObject) -> None:
        gateway = self.gateways[name]
        clients = gateway.rooms.get(channel)
        if clients:
            client = data.draw(st.sampled_from(sorted(clients)))
            clients.discard(client)
            if not clients:
                del gateway.rooms[channel]
            member = Member(client=client, user="u")
            gateway.report(Left, channel=channel, member=member, announce=channel == ANNOUNCED)

    @rule(name=st.sampled_from(["g1", "g2"]))
    def a_gateway_crashes(self, name: str) -> None:
        gateway = self.gateways[name]
        if not self.index_is_whole:
            self.unaccountable |= gateway.places() | gateway.unsaid()
        gateway.alive = False
        gateway.rooms.clear()
        gateway.unsent.clear()

    @rule(name=st.sampled_from(["g1", "g2"]))
    def a_gateway_stops_in_good_order(self, name: str) -> None:
        gateway = self.gateways[name]
        if gateway.alive and not self.unreachable(gateway):
            gateway.report(Stopped)
            self.queue.extend(gateway.unsent)
            self.a_gateway_crashes(name)

    @rule(name=st.sampled_from(["g1", "g2"]), clock=st.sampled_from([1, 1, 0, -50]))
    def a_gateway_starts_anew(self, name: str, clock: int) -> None:
        """Its machine's clock may stand still or be set back in between."""
        self.a_gateway_crashes(name)
        started = self.gateways[name].started + clock
        void_until = self.now if clock > 0 else self.now + 15
        self.gateways[name] = Gateway(name, next(self.numbers), started, void_until, reached=(self.now, self.now))

    @rule(name=st.sampled_from(["g1", "g2"]))
    def a_run_that_is_over_speaks(self, name: str) -> None:
        zombie = Gateway(name, 0, self.gateways[name].started - 100)
        member = Member(client=f"c{next(self.numbers)}", user="u")
        zombie.report(Joined, channel=ANNOUNCED, member=member, announce=True)
        self.queue.extend(zombie.unsent)

    @rule(name=st.sampled_from(["g1", "g2"]), steps=st.integers(1, 60))
    def a_gateway_loses_the_broker(self, name: str, steps: int) -> None:
        self.gateways[name].blind_for = steps

    @rule(back=st.integers(1, 5), reconnects=st.booleans())
    def a_delivery_is_repeated(self, back: int, reconnects: bool) -> None:
        self.queue.extendleft(reversed(self.last_batch[-back:]))
        if self.active is not None and self.queue:
            self.active.reconnected |= reconnects

    @precondition(lambda self: self.active is not None)
    @rule(fed=st.integers(0, 5), published=st.booleans())
    def the_active_process_is_killed(self, fed: int, published: bool) -> None:
        """It has read some of a batch, acked nothing, and published what that caused or not."""
        assert self.active is not None
        batch = [self.queue.popleft() for _ in range(min(fed, len(self.queue)))]
        for message in batch:
            effects = self.active.partition.feed(message, self.now)
            if published:
                self.carry_out(effects)
        self.queue.extendleft(reversed(batch))
        self.processes[self.processes.index(self.active)] = self.new_process()
        self.hand_over()

    @precondition(lambda self: self.active is not None)
    @rule(steps=st.integers(1, 400))
    def the_active_process_loses_the_broker(self, steps: int) -> None:
        assert self.active is not None
        self.active.away_for = steps
        self.active.reconnected = True
        self.hand_over()

    @rule(steps=st.integers(1, 60))
    def the_active_process_stands_still(self, steps: int) -> None:
        if self.active is not None:
            self.active.stalled_for = steps

    @rule(steps=st.integers(1, 60), forgets=st.booleans())
    def the_broker_stands_still(self, steps: int, forgets: bool) -> None:
        self.outage_for = steps
        if forgets:
            self.queue.clear()
            for process in self.processes:
                process.reconnected = True
            self.distrust_announcements()

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

    def hand_over(self) -> None:
        self.distrust_announcements(gone_only=True)
        for gateway in self.gateways.values():
            if self.now < gateway.void_until:  # what was void to one process is old news to the next
                self.unaccountable |= gateway.places() | gateway.unsaid()
        self.last_batch = []
        self.index_is_whole = False
        self.active = next((each for each in self.processes if each.away_for == 0), None)

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
            if self.active is None:
                self.active = next((each for each in self.processes if each.away_for == 0), None)
            for process in self.processes:
                self.run_process(process)
            self.outage_for = max(0, self.outage_for - 1)

    def run_gateway(self, gateway: Gateway) -> None:
        if not gateway.alive:
            return
        gateway.next_beat -= 1
        if self.unreachable(gateway):
            gateway.blind_for = max(0, gateway.blind_for - 1)
            return
        if gateway.next_beat <= 0:
            gateway.next_beat = BEAT_STEPS
            gateway.report(Heartbeat)
        gateway.answer_a_little()
        if gateway.unsent:
            gateway.reached = gateway.reached[1], self.now
        self.queue.extend(gateway.unsent)
        gateway.unsent.clear()

    def run_process(self, process: Process) -> None:
        if process.stalled_for > 0:
            process.stalled_for -= 1
            return
        if process.away_for > 0:
            process.away_for -= 1
        elif process is self.active and self.outage_for == 0 and self.queue:
            self.last_batch = list(self.queue)
            self.queue.clear()
            if process.reconnected:
                process.reconnected = False
                self.carry_out(process.partition.reconnected(self.now))
            for message in self.last_batch:
                self.carry_out(process.partition.feed(message, self.now))
        self.carry_out(process.partition.tick(self.now))
        for request in process.syncs.take():
            for gateway in self.gateways.values():
                reached = request.gateway in (None, gateway.name) and not self.unreachable(gateway)
                if reached and gateway.alive:
                    gateway.asked(request.sync)

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Announce():
                    place = (effect.channel, orjson.loads(effect.info)["client"])
                    self.announcements.setdefault(place, []).append(effect.type)
                case Answer():
                    self.answers.append(effect)
                case SendProbe() if self.outage_for == 0:
                    self.queue.append(effect.probe)
                case Note(event="gateway_expired"):
                    gateway = self.gateways[str(effect.fields["gateway"])]
                    # What was queued in this very step came after the probe that ended the silence.
                    silent = self.now - gateway.reached[gateway.reached[1] < self.now]
                    superseded = effect.fields["incarnation"] != gateway.incarnation
                    assert superseded or not gateway.alive or silent >= 9, f"{gateway.name} was heard of {silent} s ago"
                case _:
                    pass

    # What must hold

    def check_index(self) -> None:
        assert self.active is not None
        for channel in (ANNOUNCED, QUIET):
            self.answers.clear()
            self.queue.append(Question(channel, False, "here", "1"))
            self.advance(20)
            (answer,) = self.answers
            told = {member.client for member in Members.decode(answer.body).members}
            assert told == {client for where, client in self.truth() if where == channel}

    def check_announcements(self) -> None:
        present = self.truth()
        for place, told in self.announcements.items():
            assert place[0] == ANNOUNCED
            if place not in self.unaccountable:
                assert told[-1] is (DeliverType.JOIN if place in present else DeliverType.LEAVE), (place, told)
        silent = {place for place in present if place[0] == ANNOUNCED} - set(self.announcements)
        assert silent <= self.unaccountable, silent


World.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
TestPartitionAgainstTheTruth = World.TestCase
