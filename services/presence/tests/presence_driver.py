"""Drives a partition by hand: reports in, effects out, probes returned as a broker would."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from warren_presence.domain.effects import Announce, Answer, Effect, Note, SendProbe, Turned
from warren_presence.domain.partition import Input, Partition
from warren_presence.domain.questions import Question
from warren_presence.domain.syncs import Syncs
from warren_shared.contracts.envelope import Message, decode_one_of
from warren_shared.contracts.presence import (
    Heartbeat,
    Joined,
    Left,
    Member,
    Members,
    Probe,
    Snapshot,
    Stats,
    Stopped,
    Synced,
)
from warren_shared.contracts.rpc import Failed

TICK = 0.25
REPLIES: tuple[type[Message], ...] = (Members, Stats, Failed)


class Reports:
    """What one run of a gateway has to say."""

    def __init__(self, gateway: str = "g1", *, run: int = 1) -> None:
        self._sender = {"gateway": gateway, "incarnation": f"{gateway}-run{run}", "started": float(run)}
        self.gateway = gateway

    def beat(self) -> Heartbeat:
        return Heartbeat.model_validate(self._sender)

    def stopped(self) -> Stopped:
        return Stopped.model_validate(self._sender)

    def synced(self, sync: str) -> Synced:
        return Synced.model_validate({**self._sender, "sync": sync})

    def joined(self, client: str, channel: str = "room", *, user: str = "u", announce: bool = True) -> Joined:
        member = Member(client=client, user=user)
        return Joined.model_validate({**self._sender, "channel": channel, "member": member, "announce": announce})

    def left(self, client: str, channel: str = "room", *, announce: bool = True) -> Left:
        member = Member(client=client, user="u")
        return Left.model_validate({**self._sender, "channel": channel, "member": member, "announce": announce})

    def holds(self, *clients: str, sync: str, channel: str = "room", announce: bool = True) -> Snapshot:
        members = tuple(Member(client=client, user="u") for client in clients)
        return Snapshot.model_validate(
            {**self._sender, "channel": channel, "members": members, "announce": announce, "sync": sync}
        )


class Driver:
    """A partition in a process that is its consumer, on a broker that returns every probe at once."""

    def __init__(self, *, max_members: int = 100, max_held: int = 10) -> None:
        self.now = 1000.0
        self.syncs = Syncs("p")
        self.partition = Partition("p", self.syncs, max_members=max_members, max_held=max_held)
        self.effects: list[Effect] = []
        self.probes: list[Probe] = []

    def feed(self, *messages: Input) -> None:
        for message in messages:
            self.effects += self.partition.feed(message, self.now)

    def pass_time(self, seconds: float, *, beating: Iterable[Reports] = ()) -> None:
        """Let time pass; every gateway of ``beating`` beats once a second."""
        gateways = list(beating)
        for step in range(1, round(seconds / TICK) + 1):
            self.now += TICK
            if step % 4 == 0:
                self.feed(*[each.beat() for each in gateways])
            self.return_probes()
            self.tick()

    def pass_time_alone(self, seconds: float) -> None:
        """Let time pass in which nothing is delivered, not even probes."""
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.tick()

    def tick(self) -> None:
        effects = self.partition.tick(self.now)
        self.probes += [effect.probe for effect in effects if isinstance(effect, SendProbe)]
        self.effects += effects

    def return_probes(self) -> None:
        while self.probes:
            self.feed(self.probes.pop(0))

    def asked(self) -> list[tuple[str | None, str]]:
        """Return the snapshot requests made since the last call: (gateway, sync id)."""
        return [(request.gateway, request.sync) for request in self.syncs.take()]

    def settled(self, *gateways: Reports) -> None:
        """Take over a partition whose gateways hold nobody."""
        self.feed(*[each.beat() for each in gateways])
        ((_, sync),) = self.asked()
        self.feed(*[each.synced(sync) for each in gateways])
        self.pass_time(1.5, beating=gateways)
        assert not self.partition.filling
        assert self.asked() == []
        self.effects.clear()

    def pushes(self) -> list[tuple[str, str, str]]:
        """Return the announcements since the last call: (type, channel, client)."""
        made = [effect for effect in self.effects if isinstance(effect, Announce)]
        self.effects = [effect for effect in self.effects if not isinstance(effect, Announce)]
        return [(each.type.value, each.channel, orjson.loads(each.info)["client"]) for each in made]

    def turns(self) -> list[tuple[str, bool]]:
        """Return which channels were occupied or vacated since the last call."""
        made = [effect for effect in self.effects if isinstance(effect, Turned)]
        self.effects = [effect for effect in self.effects if not isinstance(effect, Turned)]
        return [(each.channel, each.occupied) for each in made]

    def notes(self) -> list[str]:
        return [effect.event for effect in self.effects if isinstance(effect, Note)]

    def ask(self, channel: str = "room", *, stats: bool = False) -> None:
        self.feed(Question(channel, stats, "asker", "1"))

    def answers(self) -> list[Message]:
        """Return the replies since the last call."""
        made = [effect for effect in self.effects if isinstance(effect, Answer)]
        self.effects = [effect for effect in self.effects if not isinstance(effect, Answer)]
        assert all((each.reply_to, each.correlation_id) == ("asker", "1") for each in made)
        return [decode_one_of(each.body, *REPLIES) for each in made]

    def members(self, channel: str = "room") -> Sequence[str]:
        """Ask who is there, and return the clients of the answer that comes at once."""
        self.ask(channel)
        (answer,) = self.answers()
        assert isinstance(answer, Members)
        return sorted(member.client for member in answer.members)
