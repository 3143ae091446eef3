"""The metrics of history: counted in plain numbers, read at a scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from warren_history.domain.admission import Reason
from warren_history.ports import Store
from warren_shared.contracts.codes import Errors
from warren_shared.observability.metrics import AnyReading, Histogram, HistogramReading, MetricSpec, Reading

_BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SECOND_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_READ_ERRORS: Final = (Errors.INTERNAL, Errors.UNKNOWN_CHANNEL, Errors.BAD_REQUEST, Errors.NOT_AVAILABLE)
_READ_OUTCOMES: Final = ("ok", *(str(error.code) for error in _READ_ERRORS))
_TRIMMED_KINDS: Final = ("publications", "message_ids", "streams")

APPENDED: Final = MetricSpec("warren_history_appended", "counter", "Publications stored and numbered.", ("namespace",))
DUPLICATES: Final = MetricSpec(
    "warren_history_duplicates",
    "counter",
    "Publications found stored already under their message id, and sent again under their old offset.",
    ("namespace",),
)
REJECTED: Final = MetricSpec(
    "warren_history_rejected",
    "counter",
    "Deliveries dead-lettered instead of stored. Look at the queue warren.dead for what and why.",
    ("reason",),
)
BATCH: Final = MetricSpec("warren_history_batch_publications", "histogram", "Publications in one transaction.")
APPEND_SECONDS: Final = MetricSpec(
    "warren_history_append_seconds",
    "histogram",
    "Seconds from handing a batch to the store until it is committed. High: the disk flushes slowly.",
)
STORE_FAILURES: Final = MetricSpec(
    "warren_history_store_failures", "counter", "Appends, reads and sweeps the store refused. Look at disk and log."
)
PACKS: Final = MetricSpec(
    "warren_history_pack_publications",
    "histogram",
    "Publications in one message to gateways, where they leave together; what leaves alone is not counted.",
)
EGRESS_FAILURES: Final = MetricSpec(
    "warren_history_egress_failures", "counter", "Batches the broker did not confirm at once; they are sent again."
)
UNSENT: Final = MetricSpec(
    "warren_history_unsent",
    "counter",
    "Publications stored whose message to gateways the broker refuses; gateways read them. Look at the log.",
)
DEAD_LETTERS_LOST: Final = MetricSpec(
    "warren_history_dead_letters_lost", "counter", "Dead letters the broker refuses and nobody keeps. Look at the log."
)
GIVEN_BACK: Final = MetricSpec(
    "warren_history_batches_given_back", "counter", "Batches held in vain and left to the broker to deliver again."
)
READS: Final = MetricSpec(
    "warren_history_reads", "counter", "Reads answered, by the protocol's error code or ok.", ("outcome",)
)
REQUESTS_UNKNOWN: Final = MetricSpec(
    "warren_history_requests_unknown",
    "counter",
    "Requests of a type or version not known here, answered with error 100. A gateway is newer: upgrade history.",
)
READ_PUBLICATIONS: Final = MetricSpec("warren_history_read_publications", "counter", "Publications returned by reads.")
TRIMMED: Final = MetricSpec(
    "warren_history_trimmed",
    "counter",
    "Expired rows removed by the sweep: publications, message ids, streams.",
    ("kind",),
)
STORE_ROWS: Final = MetricSpec("warren_history_store_rows", "gauge", "Rows in the store.", ("kind",))
STORE_BYTES: Final = MetricSpec("warren_history_store_bytes", "gauge", "Bytes the store takes on disk.")

CATALOGUE: Final = (
    APPENDED,
    DUPLICATES,
    REJECTED,
    BATCH,
    APPEND_SECONDS,
    STORE_FAILURES,
    PACKS,
    EGRESS_FAILURES,
    UNSENT,
    DEAD_LETTERS_LOST,
    GIVEN_BACK,
    READS,
    REQUESTS_UNKNOWN,
    READ_PUBLICATIONS,
    TRIMMED,
    STORE_ROWS,
    STORE_BYTES,
)


def _batch_histogram() -> Histogram:
    return Histogram(_BATCH_BOUNDS)


def _seconds_histogram() -> Histogram:
    return Histogram(_SECOND_BOUNDS)


@dataclass(slots=True)
class Counts:
    """What has happened in this process so far."""

    appended: Counter[str] = field(default_factory=Counter)
    """By namespace; ``""`` for channels without one."""
    duplicates: Counter[str] = field(default_factory=Counter)
    rejected: Counter[Reason] = field(default_factory=Counter)
    batches: Histogram = field(default_factory=_batch_histogram)
    append_seconds: Histogram = field(default_factory=_seconds_histogram)
    store_failures: int = 0
    packs: Histogram = field(default_factory=_batch_histogram)
    egress_failures: int = 0
    unsent: int = 0
    dead_letters_lost: int = 0
    given_back: int = 0
    reads: Counter[str] = field(default_factory=Counter)
    requests_unknown: int = 0
    read_publications: int = 0
    trimmed: Counter[str] = field(default_factory=Counter)

    def readings(self) -> Iterable[AnyReading]:
        """Return the readings of all that is counted here.

        What can be named before it happens reads 0: a series that begins with its first event shows no increase.
        """
        for spec, counter in ((APPENDED, self.appended), (DUPLICATES, self.duplicates)):
            for namespace, value in counter.items():
                yield Reading(spec, value, (namespace,))
        for reason in Reason:
            yield Reading(REJECTED, self.rejected[reason], (reason.value,))
        for outcome in sorted({*_READ_OUTCOMES, *self.reads}):
            yield Reading(READS, self.reads[outcome], (outcome,))
        for kind in _TRIMMED_KINDS:
            yield Reading(TRIMMED, self.trimmed[kind], (kind,))
        yield HistogramReading(BATCH, self.batches)
        yield HistogramReading(APPEND_SECONDS, self.append_seconds)
        yield Reading(STORE_FAILURES, self.store_failures)
        yield HistogramReading(PACKS, self.packs)
        yield Reading(EGRESS_FAILURES, self.egress_failures)
        yield Reading(UNSENT, self.unsent)
        yield Reading(DEAD_LETTERS_LOST, self.dead_letters_lost)
        yield Reading(GIVEN_BACK, self.given_back)
        yield Reading(REQUESTS_UNKNOWN, self.requests_unknown)
        yield Reading(READ_PUBLICATIONS, self.read_publications)


def store_readings(store: Store) -> Iterable[AnyReading]:
    """Return the readings of a store's size."""
    size = store.size()
    yield Reading(STORE_ROWS, size.publications, ("publications",))
    yield Reading(STORE_ROWS, size.message_ids, ("message_ids",))
    yield Reading(STORE_ROWS, size.streams, ("streams",))
    yield Reading(STORE_BYTES, size.bytes)
