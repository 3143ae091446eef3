"""Presence: what gateways tell the presence service, what it answers, and what it tells itself.

Gateways are the truth, presence is their index. Joins, leaves, snapshots and queries of a channel
go through the channel's partition of ``warren.presence``, so a query sees what its asker sent
before. Heartbeats go to every partition by way of ``warren.events``.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

from warren_shared.contracts.envelope import Message

HEARTBEAT_SECONDS: Final = 3.0
"""Every gateway beats this often. May only become less: an older presence would expire who beats more seldom."""
MISSED_BEATS: Final = 3
"""After so many missed beats a gateway, and everyone on it, is gone."""


class Member(BaseModel):
    """One connection that is subscribed to a channel."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    client: str
    user: str = ""
    conn_info: str | None = None
    """JSON text."""
    chan_info: str | None = None
    """JSON text."""


class _FromGateway(Message):
    gateway: str
    """The gateway's id."""
    incarnation: str
    """Which run of it; a message of an older run than the last seen one is void."""
    started: float = 0.0
    """Unix seconds at which this run began: what makes one run older than another."""


class Joined(_FromGateway):
    """A connection subscribed to ``channel``."""

    type_name = "presence.joined"

    channel: str
    member: Member
    announce: bool = False
    """Whether presence pushes the join, and later the leave, to the channel."""


class Left(_FromGateway):
    """A connection is no longer subscribed to ``channel``."""

    type_name = "presence.left"

    channel: str
    member: Member
    announce: bool = False


class Snapshot(_FromGateway):
    """Everyone this gateway holds in ``channel``, replacing what was known of it."""

    type_name = "presence.snapshot"

    channel: str
    members: tuple[Member, ...]
    announce: bool = False
    sync: str
    """The id of the request it answers."""


class Query(Message):
    """Ask who is in ``channel``; answered to ``reply_to`` by Members, or by Stats if ``stats``."""

    type_name = "presence.query"

    channel: str
    stats: bool = False


class Members(Message):
    """Everyone in a channel."""

    type_name = "presence.members"

    members: tuple[Member, ...] = ()


class Stats(Message):
    """How many connections, and how many distinct users, are in a channel."""

    type_name = "presence.stats"

    clients: int = 0
    users: int = 0


class Heartbeat(_FromGateway):
    """The gateway lives. Event ``gateway.heartbeat``; the first one announces the run."""

    type_name = "gateway.heartbeat"

    version: str = ""
    """Of the gateway's program."""
    clients: int = 0
    """Connections."""
    users: int = 0
    """Distinct users of these, without anonymous ones."""
    channels: int = 0
    """Channels that somebody on this gateway is subscribed to, patterns included."""
    subscriptions: int = 0


class Stopped(_FromGateway):
    """The gateway ended in good order; everyone on it is gone. Event ``gateway.stopped``."""

    type_name = "gateway.stopped"


class Synced(_FromGateway):
    """All snapshots for the request ``sync`` have been sent. Event ``gateway.synced``."""

    type_name = "gateway.synced"

    sync: str


class Probe(Message):
    """A presence process tells itself how far it has read. Goes through a partition's queue.

    Whoever consumes the partition gets it, so a process must be able to read another version's.
    """

    type_name = "presence.probe"

    tenure: str
    """Which process sent it, and in which of its times as the partition's consumer."""
    number: int
    """Counts the probes of a tenure from 0; a gap shows that another process has read."""
    sent_at: float
    """Seconds of the sender's monotonic clock."""


class SnapshotRequest(Message):
    """Presence asks gateways for everything they hold. Control ``all.presence`` or ``gateway.<id>``."""

    type_name = "presence.snapshot_request"

    sync: str
