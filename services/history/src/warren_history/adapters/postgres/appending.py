"""Appending a batch: one statement, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import asyncpg

from warren_history.adapters.postgres.clock import AgeClock
from warren_history.adapters.postgres.content import content_of, packed_tags
from warren_history.domain.publications import Appended, Content, NewPublication, Retention

_SURPLUS_TRIMMED: Final = 256
"""How far one append shrinks a stream whose ``history_size`` was lowered; readers see only what is
within the size anyway."""

_MOST_BYTES: Final = 512 * 1024 * 1024
"""Of a batch's payloads; PostgreSQL takes twice that in one value."""

_STATEMENT: Final = (
    "SELECT * FROM warren_history.append_1"
    "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"
)

NewEpoch = Callable[[], str]


def payload_bytes(batch: Sequence[NewPublication]) -> int:
    """Return how much a batch's payloads weigh."""
    return sum(len(item.content.data) for item in batch)


@dataclass(frozen=True, slots=True)
class Growth:
    """How many rows there are more."""

    streams: int = 0
    publications: int = 0
    message_ids: int = 0


class Append:
    """A batch on its way into the database and, as offsets, out again."""

    def __init__(self, batch: Sequence[NewPublication], now: int, new_epoch: NewEpoch) -> None:
        """Take a batch apart. Raises ValueError for text that is no Unicode, and for more than fits a statement."""
        if payload_bytes(batch) > _MOST_BYTES:
            raise ValueError("the batch is too large for one statement")
        self._batch, self._now = batch, now
        firsts = {item.channel: item for item in reversed(batch)}
        # Everybody locks streams in this order, so that no two wait for one another: see append_1.
        self._channels = sorted(firsts)
        self._epochs = [new_epoch() for _ in self._channels]
        self._meta_ttls = [firsts[channel].retention.meta_ttl for channel in self._channels]
        self._places: list[int] = []
        """For each publication of the batch the place of the one that is sent, among those: its own, or
        that of the first with its message id."""
        self._sent: list[NewPublication] = []
        self._ids: list[bytes | None] = []
        self._find_places()

    def _find_places(self) -> None:
        seen: dict[tuple[str, bytes], int] = {}
        for item in self._batch:
            message_id = None if item.message_id is None else item.message_id.encode()
            place = len(self._sent)
            if message_id is not None:
                place = seen.setdefault((item.channel, message_id), place)
            if place == len(self._sent):
                self._sent.append(item)
                self._ids.append(message_id)
            self._places.append(place)

    async def run(
        self, connection: asyncpg.Connection, *, clock: AgeClock, window: int, flush: bool
    ) -> tuple[list[Appended], Growth]:
        """Append the batch as ``Store.append`` promises. Raises asyncpg's errors."""
        numbers = {channel: number for number, channel in enumerate(self._channels, 1)}
        contents = [item.content for item in self._sent]
        retentions: list[Retention] = [item.retention for item in self._sent]
        row = await connection.fetchrow(
            _STATEMENT,
            self._now,
            clock.at(self._now),
            clock.step,
            window,
            flush,
            _SURPLUS_TRIMMED,
            self._channels,
            self._epochs,
            self._meta_ttls,
            [numbers[item.channel] for item in self._sent],
            self._ids,
            [retention.size for retention in retentions],
            [retention.ttl for retention in retentions],
            [retention.meta_ttl for retention in retentions],
            [content.data for content in contents],
            [content.binary for content in contents],
            [None if content.content_type is None else content.content_type.encode() for content in contents],
            [content.info for content in contents],
            [packed_tags(content) for content in contents],
        )
        assert row is not None  # noqa: S101 - a function returns a row
        growth = Growth(row["more_streams"], row["more_publications"], row["more_message_ids"])
        return self._results(row), growth

    def _results(self, row: asyncpg.Record) -> list[Appended]:
        epochs = dict(zip(self._channels, row["epochs"], strict=True))
        tops = dict(zip(self._channels, row["tops"], strict=True))
        known = _known(row)
        results: list[Appended] = []
        placed: list[Appended] = []
        for item, place in zip(self._batch, self._places, strict=True):
            if place < len(placed):  # a repetition of what came before it in this batch
                kept = known.get(place)
                content = item.content if kept is not None and kept.content is None else placed[place].content
                results.append(replace(placed[place], content=content, duplicate=True))
                continue
            kept = known.get(place)
            if kept is None:
                tops[item.channel] += 1
                appended = Appended(epochs[item.channel], tops[item.channel], self._now, item.content)
            else:
                content = item.content if kept.content is None else kept.content
                appended = Appended(epochs[item.channel], kept.offset, kept.time, content, duplicate=True)
            placed.append(appended)
            results.append(appended)
        return results


@dataclass(frozen=True, slots=True)
class _Known:
    offset: int
    time: int
    content: Content | None
    """None if it has left the window."""


def _known(row: asyncpg.Record) -> dict[int, _Known]:
    """Return what was stored before, by its place among the publications sent."""
    if row["known_items"] is None:
        return {}
    columns = ("items", "offsets", "times", "data", "binary", "content_types", "infos", "tags")
    found: dict[int, _Known] = {}
    for item, offset, time, *content in zip(*(row[f"known_{column}"] for column in columns), strict=True):
        names = dict(zip(("data", "binary", "content_type", "info", "tags"), content, strict=True))
        found[item - 1] = _Known(offset, time, None if names["data"] is None else content_of(names))
    return found
