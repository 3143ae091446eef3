"""What the bus side of the gateway can be told; the gateway's settings are mapped to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSideOptions:
    """Times are seconds, sizes bytes."""

    inbox_length: int = 100_000
    """Deliveries the broker keeps for a gateway that lags; beyond, the oldest are dropped."""

    unbind_grace: float = 30.0
    """How long a channel nobody needs stays bound and followed."""
    namespace_binding_threshold: int = 256
    """Channels of one namespace that are bound one by one; beyond, the namespace is bound at once."""
    bind_deadline: float = 10.0
    bind_batch: int = 128
    unbind_batch: int = 16
    """Small, because new bindings wait while the broker works off a batch of these."""
    rebind_batch: int = 256
    """Keys bound with one deadline after a reconnect."""

    fanout_slice: int = 250
    """Recipients written to in one turn of the event loop: some milliseconds. Between turns the inbox is
    read, so that what comes meanwhile is packed into the next write."""
    fanout_turn_bytes: int = 524_288
    """Written to one recipient in one turn of the event loop, unless one publication is larger."""
    fanout_batch_bytes: int = 65_536
    """Publications of one channel that are written together."""
    fanout_pending_bytes: int = 8_388_608
    """What may wait to be written on one channel."""
    admit_slice: int = 200
    """Waiting subscriptions that are answered in one turn of the event loop."""

    recovery_limit: int = 300
    """Who missed more publications is not recovered."""
    recovery_window_bytes: int = 1_048_576
    """A channel's recent publications larger than this are not kept for the next who recovers."""
    recovery_window_seconds: float = 2.0
    """How long they are kept."""
    hold_publications: int = 4096
    """Publications of one channel that are held while a gap before them is filled."""
    hold_bytes: int = 4_194_304
    heal_concurrency: int = 32
    """Channels that are healed at a time."""
    subscribe_concurrency: int = 128
    """Channels whose position is read for subscribers at a time."""
    heal_patience: float = 60.0
    """How long a channel may stay blind before its subscribers are told that it is lost."""
    heal_longest_pause: float = 5.0
    position_check_interval: float = 40.0
    """How often a quiet durable channel's position is compared with history's."""
    position_checks_per_second: int = 100
    """A gateway with more quiet channels than this allows for checks each of them less often."""

    history_deadline: float = 5.0
    auth_deadline: float = 5.0
    presence_deadline: float = 5.0
    publish_deadline: float = 10.0
    rpc_deadline: float = 4.0
    rpc_concurrency: int = 10_000
    """Calls of backends in work at a time; beyond, clients are answered error 111."""

    presence_queue: int = 100_000
    """Joins and leaves that may wait to be reported; beyond, affected channels are reported whole."""
    presence_batch: int = 256
    drain_deadline: float = 3.0
    """How long the end waits for the last reports to presence, the one of its own end included."""

    event_queue: int = 10_000
    """Events and messages of clients that may wait to be published to backends; beyond, they are dropped."""
    event_queue_bytes: int = 33_554_432
    event_batch: int = 256

    dead_letters_per_second: float = 50.0
    """Malformed deliveries kept as dead letters; more are only counted."""
