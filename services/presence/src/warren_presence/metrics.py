"""Presence's metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from warren_presence.domain.questions import Result
from warren_presence.handlers.ticker import Ticker
from warren_presence.handlers.worker import PartitionWorker
from warren_shared.contracts.publication import DeliverType
from warren_shared.observability.metrics import MetricSpec, Reading
from warren_shared.topology.catalogue import EventKey

_PARTITION: Final = ("partition",)

ACTIVE: Final = MetricSpec(
    "warren_presence_active",
    "gauge",
    "1 where this process is the partition's consumer. No process: presence is down for its channels.",
    _PARTITION,
)
FILLING: Final = MetricSpec(
    "warren_presence_filling", "gauge", "1 while the index is filled from snapshots and queries wait.", _PARTITION
)
GATEWAYS: Final = MetricSpec("warren_presence_gateways", "gauge", "Gateways that live.", _PARTITION)
CHANNELS: Final = MetricSpec("warren_presence_channels", "gauge", "Channels with anyone in them.", _PARTITION)
MEMBERS: Final = MetricSpec("warren_presence_members", "gauge", "Members, over all channels.", _PARTITION)
UNSENT: Final = MetricSpec(
    "warren_presence_unsent", "gauge", "Announcements and dead letters not confirmed yet.", _PARTITION
)
HELD: Final = MetricSpec("warren_presence_queries_held", "gauge", "Queries that wait for the index.", _PARTITION)
TAKEOVERS: Final = MetricSpec(
    "warren_presence_takeovers",
    "counter",
    "Beginnings as a partition's consumer: after a start, or because another process is gone.",
    _PARTITION,
)
RESUMPTIONS: Final = MetricSpec(
    "warren_presence_resumptions",
    "counter",
    "Times deliveries may have been missed and gateways were asked again. Many: look after the broker.",
    _PARTITION,
)
EXPIRED: Final = MetricSpec("warren_presence_gateways_expired", "counter", "Gateways that fell silent.", _PARTITION)
VOID: Final = MetricSpec("warren_presence_reports_void", "counter", "Reports of gateway runs long over.", _PARTITION)
ANNOUNCED: Final = MetricSpec("warren_presence_announced", "counter", "Joins and leaves pushed to channels.", ("type",))
RETRIES: Final = MetricSpec(
    "warren_presence_publish_retries", "counter", "Times the broker did not confirm announcements.", _PARTITION
)
REFUSED: Final = MetricSpec(
    "warren_presence_messages_refused",
    "counter",
    "Announcements and dead letters dropped because the broker never takes them; the log says why.",
    _PARTITION,
)
QUERIES: Final = MetricSpec(
    "warren_presence_queries",
    "counter",
    "Queries by result. too_early and too_many: asked while the index was filled; too_large: raise max_members.",
    ("result",),
)
TOLD: Final = MetricSpec(
    "warren_presence_channel_events", "counter", "Channels that backends were told of, occupied or vacated.", ("event",)
)
REPLIES_DROPPED: Final = MetricSpec(
    "warren_presence_replies_dropped", "counter", "Replies that could not be sent.", _PARTITION
)
DEAD_LETTERED: Final = MetricSpec(
    "warren_presence_dead_lettered", "counter", "Deliveries that could not be read; the log says why.", _PARTITION
)
REQUESTS: Final = MetricSpec("warren_presence_snapshot_requests", "counter", "Snapshot requests sent to gateways.")

CATALOGUE: Final = (
    ACTIVE,
    FILLING,
    GATEWAYS,
    CHANNELS,
    MEMBERS,
    UNSENT,
    HELD,
    TAKEOVERS,
    RESUMPTIONS,
    EXPIRED,
    VOID,
    ANNOUNCED,
    RETRIES,
    REFUSED,
    QUERIES,
    TOLD,
    REPLIES_DROPPED,
    DEAD_LETTERED,
    REQUESTS,
)


def collector(workers: Sequence[PartitionWorker], ticker: Ticker) -> Callable[[], Iterable[Reading]]:
    """Return the function that reads all metrics."""

    def collect() -> Iterable[Reading]:
        for number, worker in enumerate(workers):
            yield from _of_partition(worker, (str(number),))
        for kind in (DeliverType.JOIN, DeliverType.LEAVE):
            yield Reading(ANNOUNCED, sum(worker.announced[kind] for worker in workers), (kind.value,))
        for key in (EventKey.CHANNEL_OCCUPIED, EventKey.CHANNEL_VACATED):
            yield Reading(TOLD, sum(worker.told[key] for worker in workers), (key.value.partition(".")[2],))
        for result in Result:
            yield Reading(QUERIES, sum(worker.partition.desk.results[result] for worker in workers), (result.value,))
        yield Reading(REQUESTS, ticker.requests)

    return collect


def _of_partition(worker: PartitionWorker, label: tuple[str]) -> Iterable[Reading]:
    partition = worker.partition
    yield Reading(ACTIVE, partition.active, label)
    yield Reading(FILLING, partition.filling, label)
    yield Reading(GATEWAYS, partition.num_gateways, label)
    yield Reading(CHANNELS, partition.occupancy.num_channels, label)
    yield Reading(MEMBERS, partition.occupancy.size, label)
    yield Reading(UNSENT, len(worker.outbox), label)
    yield Reading(HELD, partition.desk.num_held, label)
    yield Reading(TAKEOVERS, partition.taken_over, label)
    yield Reading(RESUMPTIONS, partition.resumed, label)
    yield Reading(EXPIRED, partition.expired, label)
    yield Reading(VOID, partition.void, label)
    yield Reading(RETRIES, worker.outbox.retries, label)
    yield Reading(REFUSED, worker.outbox.refused, label)
    yield Reading(REPLIES_DROPPED, worker.replies_dropped, label)
    yield Reading(DEAD_LETTERED, worker.dead_lettered, label)
