"""The catalogue of the bus side's metrics. Labels name namespaces, never channels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from warren_gateway.handlers.channels import LocalChannels
from warren_gateway.handlers.counts import BusCounts, NamespaceCounts
from warren_gateway.handlers.event_outbox import EventOutbox
from warren_gateway.handlers.presence import PresenceReporter
from warren_gateway.handlers.request_outcomes import RequestOutcomes
from warren_shared.contracts.channels import NO_NAMESPACE_WORD
from warren_shared.observability.metrics import AnyReading, HistogramReading, MetricSpec, Reading

_NS: Final = ("namespace",)

PUBLICATIONS: Final = MetricSpec(
    "warren_gateway_publications", "counter", "Publications handed to the fan-out, on channels with subscribers.", _NS
)
DELIVERIES: Final = MetricSpec(
    "warren_gateway_deliveries", "counter", "Publications times the subscribers each was written to.", _NS
)
OVERFLOWS: Final = MetricSpec(
    "warren_gateway_fanout_overflows",
    "counter",
    "Pushes dropped because too much waited on their channel: more is published than can be written. Add gateways.",
    _NS,
)
MALFORMED: Final = MetricSpec(
    "warren_gateway_malformed", "counter", "Deliveries that could not be used; see the dead letters' reasons.", _NS
)
DUPLICATES: Final = MetricSpec(
    "warren_gateway_duplicates",
    "counter",
    "Publications that arrived again on a durable channel and were dropped.",
    _NS,
)
GAPS: Final = MetricSpec(
    "warren_gateway_gaps", "counter", "Times publications of a durable channel were found missing.", _NS
)
HEALED: Final = MetricSpec(
    "warren_gateway_healed", "counter", "Times a channel was made whole, or found whole, from history.", _NS
)
INSUFFICIENT: Final = MetricSpec(
    "warren_gateway_insufficient",
    "counter",
    "Subscriptions ended with 2500 because history did not have what was missing. Is its window large enough?",
    _NS,
)
RECOVERIES: Final = MetricSpec(
    "warren_gateway_recoveries", "counter", "Subscriptions that asked to recover, by outcome.", ("namespace", "outcome")
)
READS: Final = MetricSpec("warren_gateway_history_reads", "counter", "Reads of streams from history.", _NS)
SHARED_READS: Final = MetricSpec(
    "warren_gateway_history_reads_shared", "counter", "Recoveries that needed no read of their own.", _NS
)
CHANNELS: Final = MetricSpec("warren_gateway_channels", "gauge", "Channels followed.", _NS)
SUBSCRIPTIONS: Final = MetricSpec("warren_gateway_subscriptions", "gauge", "Subscriptions of local connections.", _NS)
BOUND_KEYS: Final = MetricSpec("warren_gateway_bound_keys", "gauge", "Keys the gateway's queue is bound by.")
FILTERED: Final = MetricSpec(
    "warren_gateway_filtered",
    "counter",
    "Publications on channels nobody here follows: the price of namespace bindings.",
)
NO_CHANNEL: Final = MetricSpec(
    "warren_gateway_no_channel",
    "counter",
    "Deliveries under a key that is no channel's, seen where a whole namespace is bound: a backend's mistake.",
)
PACKS: Final = MetricSpec(
    "warren_gateway_pack_publications",
    "histogram",
    "Publications in one delivery, where history sent them together; what came alone is not counted.",
)
DEAD_LETTERS: Final = MetricSpec("warren_gateway_dead_letters", "counter", "Deliveries kept as dead letters.")
DEAD_LETTERS_SUPPRESSED: Final = MetricSpec(
    "warren_gateway_dead_letters_suppressed", "counter", "Unusable deliveries beyond the rate that is kept."
)
PRESENCE_MEMBERS: Final = MetricSpec("warren_gateway_presence_members", "gauge", "Subscriptions presence is told of.")
PRESENCE_FAILURES: Final = MetricSpec(
    "warren_gateway_presence_report_failures", "counter", "Batches of presence reports that were not confirmed."
)
CLIENT_EVENTS: Final = MetricSpec(
    "warren_gateway_client_events",
    "counter",
    "Events and messages of clients for backends. dropped: more waited than may, as while the broker is away;"
    " failed: the broker did not confirm them, and they are not sent again.",
    ("outcome",),
)
FANOUT_SECONDS: Final = MetricSpec(
    "warren_gateway_fanout_seconds", "histogram", "From a publication's arrival to its write to the last subscriber."
)
LOOP_STALL: Final = MetricSpec(
    "warren_gateway_loop_stall_seconds", "gauge", "The event loop's longest delay since the last scrape."
)
REQUESTS: Final = MetricSpec(
    "warren_gateway_requests",
    "counter",
    "Requests to the other services and publications of clients. ok and refused are answers; failed: the service is not"
    " well, see its log; timeout: it is not there or too slow; unavailable, rejected: look after the broker;"
    " not_understood: versions do not fit.",
    ("method", "outcome"),
)
REQUEST_SECONDS: Final = MetricSpec(
    "warren_gateway_request_seconds", "histogram", "How long these took, however they ended.", ("method",)
)
CATALOGUE: Final = (
    PUBLICATIONS,
    DELIVERIES,
    OVERFLOWS,
    MALFORMED,
    DUPLICATES,
    GAPS,
    HEALED,
    INSUFFICIENT,
    RECOVERIES,
    READS,
    SHARED_READS,
    CHANNELS,
    SUBSCRIPTIONS,
    BOUND_KEYS,
    FILTERED,
    NO_CHANNEL,
    PACKS,
    DEAD_LETTERS,
    DEAD_LETTERS_SUPPRESSED,
    PRESENCE_MEMBERS,
    PRESENCE_FAILURES,
    CLIENT_EVENTS,
    FANOUT_SECONDS,
    LOOP_STALL,
    REQUESTS,
    REQUEST_SECONDS,
)


class BusMetrics:
    """Reads the counts when metrics are scraped."""

    def __init__(
        self,
        counts: BusCounts,
        outcomes: RequestOutcomes,
        channels: LocalChannels,
        presence: PresenceReporter,
        events: EventOutbox,
    ) -> None:
        self._counts, self._outcomes, self._channels, self._presence = counts, outcomes, channels, presence
        self._events = events

    def collect(self) -> Iterable[AnyReading]:
        """Return all readings; the loop's delay begins anew."""
        counts = self._counts
        for namespace, of_namespace in counts.by_namespace.items():
            yield from _namespace_readings(namespace or NO_NAMESPACE_WORD, of_namespace)
        for namespace, (channels, subscriptions) in self._channels.followed().items():
            labels = (namespace or NO_NAMESPACE_WORD,)
            yield Reading(CHANNELS, channels, labels)
            yield Reading(SUBSCRIPTIONS, subscriptions, labels)
        yield Reading(BOUND_KEYS, len(self._channels.binder.plan))
        yield Reading(FILTERED, counts.filtered)
        yield Reading(NO_CHANNEL, counts.no_channel)
        yield HistogramReading(PACKS, counts.packs)
        yield Reading(DEAD_LETTERS, counts.dead_letters)
        yield Reading(DEAD_LETTERS_SUPPRESSED, counts.dead_letters_suppressed)
        yield Reading(PRESENCE_MEMBERS, self._presence.members)
        yield Reading(PRESENCE_FAILURES, self._presence.failures)
        yield Reading(CLIENT_EVENTS, self._events.sent, ("sent",))
        yield Reading(CLIENT_EVENTS, self._events.dropped, ("dropped",))
        yield Reading(CLIENT_EVENTS, self._events.failed, ("failed",))
        yield HistogramReading(FANOUT_SECONDS, counts.fanout_seconds)
        yield Reading(LOOP_STALL, counts.longest_stall)
        counts.longest_stall = 0.0
        for (method, outcome), count in self._outcomes.counts.items():
            yield Reading(REQUESTS, count, (method.value, outcome.value))
        for method, seconds in self._outcomes.seconds.items():
            yield HistogramReading(REQUEST_SECONDS, seconds, (method.value,))


def _namespace_readings(namespace: str, counts: NamespaceCounts) -> Iterable[Reading]:
    labels = (namespace,)
    yield Reading(PUBLICATIONS, counts.publications, labels)
    yield Reading(DELIVERIES, counts.deliveries, labels)
    yield Reading(OVERFLOWS, counts.overflows, labels)
    yield Reading(MALFORMED, counts.malformed, labels)
    yield Reading(DUPLICATES, counts.duplicates, labels)
    yield Reading(GAPS, counts.gaps, labels)
    yield Reading(HEALED, counts.healed, labels)
    yield Reading(INSUFFICIENT, counts.insufficient, labels)
    yield Reading(RECOVERIES, counts.recovered, (namespace, "recovered"))
    yield Reading(RECOVERIES, counts.unrecovered, (namespace, "not_recovered"))
    yield Reading(READS, counts.reads, labels)
    yield Reading(SHARED_READS, counts.shared_reads, labels)
