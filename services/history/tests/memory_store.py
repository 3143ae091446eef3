"""The store port in a few plain lists: what the SQLite store is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from warren_history.domain.publications import (
    Appended,
    NewPublication,
    ReadPlan,
    Retention,
    Stored,
    StoreSize,
    StreamPage,
    Trimmed,
)
from warren_history.ports import StoreUnavailableError

LONGEST_STEP = 60_000


@dataclass
class _Stream:
    epoch: str
    dies: int
    top: int = 0
    expires: int = 0
    kept: list[tuple[Stored, int]] = field(default_factory=list)
    """With the moment each expires."""
    ids: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Offset, time, and the store's age then."""


class MemoryStore:
    """Forgets everything when it is closed."""

    def __init__(self, idempotency_window: int = 3_600_000) -> None:
        self._window = idempotency_window
        self._streams: dict[str, _Stream] = {}
        self._epochs = self._age = self._seen = 0
        self._closed = False
        self.trials: dict[str, tuple[str, int]] = {}
        self.fail: Exception | None = None
        """Raised by every call while it is set."""
        self.fails_on: bytes | None = None
        """What cannot be stored: an append with it stores nothing, and raises OverflowError."""
        self.then: Exception | None = None
        """What ``fail`` becomes then."""
        self.crashes = 0

    async def append(self, batch: Sequence[NewPublication], *, now: int) -> Sequence[Appended]:
        self._check()
        if any(item.content.data == self.fails_on for item in batch):
            self.crashes += 1
            self.fail = self.then
            raise OverflowError("too large to convert to a SQLite integer")
        self._grow_older(now)
        results = [self._append(item, now) for item in batch]
        stored = {item.channel: item for item, result in zip(batch, results, strict=True) if not result.duplicate}
        for item in stored.values():
            stream = self._streams[item.channel]
            stream.kept = [entry for entry in stream.kept if entry[0].offset > stream.top - item.retention.size]
        return results

    async def read(self, plan: ReadPlan, *, now: int) -> StreamPage:
        self._check()
        stream = self._living(plan.channel, plan.retention, now)
        if stream.dies - now < plan.retention.meta_ttl // 2:
            stream.dies = now + plan.retention.meta_ttl
        floor = stream.top - plan.retention.size
        window = [stored for stored, expires in stream.kept if expires > now and stored.offset > floor]
        if plan.reverse:
            window.reverse()
        if plan.since is not None:
            since, sign = plan.since, -1 if plan.reverse else 1
            window = [stored for stored in window if (stored.offset - since) * sign > 0]
        page: list[Stored] = []
        for stored in window[: plan.limit]:
            if page and sum(len(entry.content.data) for entry in (*page, stored)) > plan.max_bytes:
                break
            page.append(stored)
        return StreamPage(stream.epoch, stream.top, tuple(page))

    async def remove(self, channel: str) -> int:
        self._check()
        stream = self._streams.get(channel)
        if stream is None:
            return 0
        removed, stream.kept = len(stream.kept), []
        return removed

    async def renew_epochs(self) -> int:
        self._check()
        for stream in self._streams.values():
            self._epochs += 1
            stream.epoch = f"epoch-{self._epochs}"
        return len(self._streams)

    async def trim(self, *, now: int, limit: int) -> Trimmed:  # noqa: ARG002 - the port's signature
        """Trim everything at once: what has expired is invisible either way."""
        self._check()
        self._grow_older(now)
        publications = ids = 0
        for stream in self._streams.values():
            kept = [entry for entry in stream.kept if entry[1] > now]
            known = {key: entry for key, entry in stream.ids.items() if entry[2] > self._age - self._window}
            publications += len(stream.kept) - len(kept)
            ids += len(stream.ids) - len(known)
            stream.kept, stream.ids = kept, known
        dead = [channel for channel, stream in self._streams.items() if stream.dies <= now]
        for channel in dead:
            del self._streams[channel]
        return Trimmed(publications, ids, len(dead), more=False)

    async def begin_trial(self, queue: str, delivery: str) -> int:
        self._check()
        before, begun = self.trials.get(queue, (delivery, 0))
        self.trials[queue] = delivery, (begun if before == delivery else 0) + 1
        return self.trials[queue][1]

    async def end_trial(self, queue: str) -> None:
        self._check()
        self.trials.pop(queue, None)

    def size(self) -> StoreSize:
        streams = self._streams.values()
        return StoreSize(len(streams), sum(len(s.kept) for s in streams), sum(len(s.ids) for s in streams), 0)

    @property
    def healthy(self) -> bool:
        return not self._closed and self.fail is None

    async def close(self) -> None:
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        if self.fail is not None:
            raise self.fail

    def _grow_older(self, now: int) -> None:
        self._age += min(max(now - self._seen, 0), LONGEST_STEP)
        self._seen = now

    def _living(self, channel: str, retention: Retention, now: int) -> _Stream:
        stream = self._streams.get(channel)
        if stream is None or stream.dies <= now:
            self._epochs += 1
            stream = self._streams[channel] = _Stream(f"epoch-{self._epochs}", now + retention.meta_ttl)
        return stream

    def _append(self, item: NewPublication, now: int) -> Appended:
        stream = self._living(item.channel, item.retention, now)
        known = stream.ids.get(item.message_id) if item.message_id is not None else None
        if known is not None and known[2] > self._age - self._window:
            offset, time, _ = known
            content = next((s.content for s, _ in stream.kept if s.offset == offset), item.content)
            return Appended(stream.epoch, offset, time, content, duplicate=True)
        stream.top += 1
        stream.expires = max(stream.expires, now + item.retention.ttl)
        stream.dies = max(now + item.retention.meta_ttl, stream.expires)
        stream.kept.append((Stored(stream.top, now, item.content), stream.expires))
        if item.message_id is not None:
            stream.ids[item.message_id] = (stream.top, now, self._age)
        return Appended(stream.epoch, stream.top, now, item.content)
