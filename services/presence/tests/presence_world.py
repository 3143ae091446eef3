"""What the model of presence is made of: gateways that report, queues, and processes that take turns at them."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from warren_presence.domain.partition import Input, Partition
from warren_presence.domain.syncs import Syncs
from warren_shared.contracts.presence import Heartbeat, Joined, Left, Member, Snapshot, Stopped, Synced

CHANNELS = ("announced-1", "announced-2", "quiet")
PARTITIONS = 2
Place = tuple[str, str]
"""(channel, client)."""


def is_announced(channel: str) -> bool:
    return channel.startswith("announced")


@dataclass
class Gateway:
    """A gateway as presence knows it: it reports what happens, in order, when the broker can be reached."""

    name: str
    run: int
    started: float
    void_until: float = 0.0
    alive: bool = True
    blind_for: int = 0
    cut_off: float = float("-inf")
    """When it was unable to reach the broker last."""
    doubts: bool = False
    """Whether it lost its connection and reports all of its own accord once it has another."""
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

    def report_of_its_own_accord(self) -> None:
        if self.doubts:
            self.doubts = False
            for channel in list(self.rooms):
                self.report_room(channel, "its own")

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
        self.report(Snapshot, channel=channel, members=members, announce=is_announced(channel), sync=sync)


@dataclass(eq=False)
class Process:
    """A presence process: it ticks unless it stands still, and reads if the broker lets it."""

    name: str
    syncs: Syncs
    partitions: list[Partition]
    stalled_for: int = 0
    away_for: int = 0
    reconnected: set[int] = field(default_factory=set)
    """The partitions whose next delivery is a new consumer's first."""

    @classmethod
    def named(cls, name: str) -> Process:
        syncs = Syncs(name)
        return cls(name, syncs, [Partition(name, syncs, max_members=100, max_held=100) for _ in range(PARTITIONS)])

    def lose_connection(self) -> None:
        self.reconnected.update(range(PARTITIONS))


@dataclass
class Queue:
    """A partition's queue, and the process that reads from it."""

    messages: deque[Input] = field(default_factory=deque)
    last_batch: list[Input] = field(default_factory=list)
    active: Process | None = None

    def places(self, channels: Container[str]) -> Iterator[Place]:
        """Iterate over whom what is still to be read says something of."""
        for each in self.messages:
            if isinstance(each, Joined | Left) and each.channel in channels:
                yield each.channel, each.member.client
            elif isinstance(each, Snapshot) and each.channel in channels:
                yield from ((each.channel, member.client) for member in each.members)

    def forget_batch(self, channels: Container[str]) -> None:
        """Have nothing of these channels delivered again."""
        self.last_batch = [each for each in self.last_batch if getattr(each, "channel", "") not in channels]
