"""A durable channel: its position, healing it, and recovering those who come back.

The channel is bound before its position is read, and what arrives meanwhile is held and merged by
offset, so that nothing falls between. One read at a time is under way, and it answers everybody who
needed it when it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from warren_gateway.domain.publications import Publication, durable_publication, packed_publication
from warren_gateway.domain.recovery import Recovery, Window, judge, judge_latest, newest
from warren_gateway.domain.stream import Ask, Filling, HoldLimit, Stream, Verdict
from warren_gateway.handlers.counts import NamespaceCounts
from warren_gateway.handlers.entries import DELIVER, Entry, Waiter, Works
from warren_gateway.handlers.reads import Range, RangeRead
from warren_gateway.ports import Subscribed
from warren_shared.contracts.codes import ErrorCode, Unsubscribes
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.namespaces import NamespaceOptions
from warren_shared.contracts.pack import Packed
from warren_shared.contracts.publication import Position
from warren_shared.messaging.port import Delivery


class DurableEntry(Entry):
    """A channel with history: every subscriber gets each publication once and in order."""

    def __init__(self, channel: str, options: NamespaceOptions, works: Works, counts: NamespaceCounts) -> None:
        super().__init__(channel, options, works, counts)
        self._limit = works.options.recovery_limit
        self.stream = Stream(HoldLimit(works.options.hold_publications, works.options.hold_bytes))
        self.window: Window | None = None
        self.window_expires = 0.0
        self.blind_since: float | None = None
        """Since when something may be missing that was not read yet."""
        self.active = False
        """Whether anything arrived since this was last looked at."""
        self._check = False
        self._reading = False
        self._previous: Publication | None = None
        """What was delivered last, if anybody gets deltas."""

    def bound(self) -> None:
        self.covered = True
        if self.stream.positioned or self._reading:
            self._doubt()
        elif self.waiting:
            self._works.read_soon(self)

    def check(self) -> None:
        """Compare the position with history's, unless something shows sooner that it is right."""
        if self.stream.positioned and self.blind_since is None:
            self._check = True
            self._works.read_sometime(self)

    def give_up(self) -> None:
        """The channel has been blind for too long."""
        self._lost()

    def expire_window(self, now: float) -> bool:
        """Drop what is kept for recoveries if nobody came for it; returns whether it is gone."""
        if self.window is not None and not self.waiting and not self._reading and self.window_expires <= now:
            self.window = None
        return self.window is None

    # What arrives

    @property
    def _listening(self) -> bool:
        # A read that is under way gives the stream a position, even if nobody waits for it any more.
        return self.stream.positioned or bool(self.waiting) or self._reading

    def take_packed(self, epoch: str, publications: Iterable[Packed]) -> None:
        data_format = self.options.publication_data_format
        for packed in publications:
            if self._listening:
                trace = self._trace_of(packed.headers) if packed.headers else None
                self._take(epoch, packed_publication(packed, data_format, trace))

    def _take_publication(self, delivery: Delivery) -> None:
        if not self._listening:
            return
        if delivery.exchange != DELIVER:
            self._reject(delivery, "publication on a durable channel did not come from history")
            return
        try:
            epoch, publication = durable_publication(
                delivery.body, delivery.headers, self.options.publication_data_format, self._trace_of(delivery.headers)
            )
        except ContractError as error:
            self._reject(delivery, str(error))
            return
        self._take(epoch, publication)

    def _take(self, epoch: str, publication: Publication) -> None:
        self.active = True
        match self.stream.offer(epoch, publication):
            case Verdict.DELIVER:
                self._deliver(publication)
                if self.stream.gapped:
                    self._deliver_all(self.stream.release())
            case Verdict.DROP:
                self.counts.duplicates += 1
            case Verdict.HOLD:
                self._held()
            case Verdict.LOST:
                self._lost()

    def _deliver_all(self, publications: Iterable[Publication]) -> None:
        for publication in publications:
            self._deliver(publication)
            if not self.stream.positioned:  # nobody is left to have the rest, and it must leave nothing behind
                return

    def _deliver(self, publication: Publication) -> None:
        self._link(publication)
        window = self.window
        if window is None and self.options.latest_only:
            window = Window(publication.offset - 1, 1)
        if window is not None:
            window.extend(publication)
            if self.options.latest_only:
                # So that on a busy channel no read has to race with what is on its way here.
                self._keep(window)
        if not self._publish(publication):
            self._lost()

    def _link(self, publication: Publication) -> None:
        """Let it be shown as a delta against the one before it, which everybody here had."""
        before, self._previous = self._previous, publication if self.line.audience.deltas else None
        if before is not None and before.offset + 1 == publication.offset and self.options.delta_publish:
            publication.previous = before.data

    def _held(self) -> None:
        if self.stream.positioned and self.blind_since is None:
            self.counts.gaps += 1
            self.blind_since = self._works.monotonic()
            self._works.read_soon(self)

    def _doubt(self) -> None:
        self.stream.doubtful = True
        if self.blind_since is None:
            self.blind_since = self._works.monotonic()
        self._works.read_sometime(self)

    def _lost(self) -> None:
        """Nobody here can be made whole: tell them, and begin anew for those who come."""
        self.counts.insufficient += self.line.audience.size
        self.stream.forget()
        self.window = self.blind_since = self._previous = None
        self._check = False
        self.dismiss(Unsubscribes.INSUFFICIENT_STATE)
        if self.waiting:
            self._works.read_soon(self)
        else:
            self._works.idle(self)

    # Who subscribes

    def _wait(self) -> None:
        if self.covered:
            self._works.read_soon(self)

    def _reply(self, waiter: Waiter) -> Subscribed | ErrorCode | None:
        if waiter.error is not None:
            return waiter.error
        if not self.stream.positioned:
            return None
        since = waiter.request.recover_from
        position = self.stream.position if waiter.request.positioned or since is not None else None
        if since is None:
            return Subscribed(position)
        match self._judge(since, waiter):
            case Recovery.RECOVERED:
                return self._recovered(since, waiter) or Subscribed(position, was_recovering=waiter.recovering)
            case Recovery.UNKNOWN if not waiter.answered:
                return None
        return Subscribed(position, was_recovering=waiter.recovering)

    def _judge(self, since: Position, waiter: Waiter) -> Recovery:
        if self.options.latest_only:
            return judge_latest(since, self.stream.position, self.window, asked=waiter.answered)
        return judge(since, self.stream.position, self.window, self._limit)

    def _recovered(self, since: Position, waiter: Waiter) -> Subscribed | None:
        """Return None if what was missed is more bytes than there is room for."""
        offset, top = since.offset, self.stream.offset
        if self.options.latest_only and since != self.stream.position:
            # What lies between is not missed.
            offset = min(offset, top - 1)
            publications = self._after(top - 1, waiter)
        else:
            publications = self._after(offset, waiter)
        if publications and sum(map(len, publications)) > waiter.subscriber.room:
            return None
        # The client counts up from here, through the publications it is given.
        filtered = waiter.request.tags_filter is not None and not publications
        position = Position(self.stream.epoch, top if filtered else offset)
        return Subscribed(position, was_recovering=waiter.recovering, recovered=True, publications=publications)

    def _after(self, offset: int, waiter: Waiter) -> Sequence[bytes]:
        if self.window is None or offset >= self.stream.offset:
            return ()
        encoding = waiter.subscriber.framing.encoding
        if waiter.request.delta:
            return self.window.deltas_after(offset, encoding, enabled=self.options.delta_publish)
        return self.window.after(offset, encoding, waiter.request.tags_filter)

    def _finish(self, waiter: Waiter, reply: Subscribed | ErrorCode) -> None:
        if isinstance(reply, Subscribed) and waiter.request.recover_from is not None:
            self.counts.recovered += reply.was_recovering and reply.recovered
            self.counts.unrecovered += reply.was_recovering and not reply.recovered
            self.counts.shared_reads += bool(reply.publications) and not waiter.answered
        super()._finish(waiter, reply)

    # What history is asked

    def next_read(self) -> RangeRead | None:
        if self._reading or self.forgotten:
            return None
        waiters = self._who_needs_history()
        read = self._range_read(waiters) if self.stream.positioned else self._position_read(waiters)
        if read is not None:
            self._reading, self._check = True, False
            self.counts.reads += 1
        return read

    def read_done(self, read: RangeRead, history: Range) -> None:
        self._reading = False
        if read.ask is not None:
            complete = self._fill(read.ask, read, history)
        else:
            complete = self._compare(history) if self.stream.positioned else self._begin(read, history)
        if complete:
            self._answered(read)
        if self.waiting:
            self._works.admit_soon(self)
        self._read_on()

    def read_failed(self, error: ErrorCode) -> None:
        self._reading = False
        self.refuse(error)
        if self.blind_since is not None and self.stream.positioned:
            self.stream.doubtful = True
            self._works.read_sometime(self)

    def _who_needs_history(self) -> list[Waiter]:
        return [
            waiter
            for waiter in self.waiting.values()
            if not waiter.answered
            and waiter.error is None
            and (since := waiter.request.recover_from) is not None
            and (not self.stream.positioned or self._judge(since, waiter) is Recovery.UNKNOWN)
        ]

    def _position_read(self, waiters: Sequence[Waiter]) -> RangeRead | None:
        if not any(waiter.error is None for waiter in self.waiting.values()):
            return None
        if waiters and self.options.latest_only:
            return self._latest_read(waiters)
        since = min(map(_since, waiters), default=0)
        return RangeRead(self.channel, since, self._limit if waiters else 0, None, waiters)

    def _range_read(self, waiters: Sequence[Waiter]) -> RangeRead | None:
        stream = self.stream
        if not waiters and not stream.gapped and not stream.doubtful and not self._check:
            self.blind_since = None
            return None
        if self.options.latest_only:
            # Who recovers waits until the stream is whole: its last publication is then the latest.
            if waiters and not (stream.gapped or stream.doubtful):
                return self._latest_read(waiters)
            waiters = ()
        since = min((stream.offset, *map(_since, waiters)))
        if waiters and self.window is None:
            # What is delivered while the read is under way is part of the answer.
            self._keep(Window(stream.offset, self._limit))
        return RangeRead(self.channel, since, stream.offset - since + self._limit, stream.ask(), waiters)

    def _latest_read(self, waiters: Sequence[Waiter]) -> RangeRead:
        return RangeRead(self.channel, 0, 1, None, waiters, latest=True)

    def _compare(self, history: Range) -> bool:
        """Take the latest publication, if it is this stream's."""
        if history.epoch != self.stream.epoch or history.top > self.stream.offset:
            # It is on its way here, or was missed.
            self._doubt()
            return False
        if history.top == self.stream.offset:
            self._keep(newest(history.publications, history.top, 1))
        return True

    def _begin(self, read: RangeRead, history: Range) -> bool:
        released = self.stream.begin(history.epoch, history.top)
        if read.waiters:
            self._keep(newest((*history.publications, *released), self.stream.offset, self._limit))
        return read.latest or not read.limit or history.reaches_top(read.since)

    def _fill(self, ask: Ask, read: RangeRead, history: Range) -> bool:
        if not self.stream.positioned:
            return False
        filled = self.stream.fill(ask, history.epoch, history.top, history.publications)
        if filled.state is Filling.LOST:
            self._lost()
            return False
        if filled.deliver and not read.waiters and self.blind_since is None:
            # A quiet channel was looked at, and had missed something.
            self.counts.gaps += 1
            self.blind_since = self._works.monotonic()
        self._deliver_all(filled.deliver)
        if not self.stream.positioned:
            return False
        if filled.state is Filling.MORE:
            self.stream.doubtful = True
        elif self.blind_since is not None and not self.stream.doubtful:
            self.counts.healed += 1
            self.blind_since = None
        if read.waiters and self.window is not None:
            kept = newest((*history.publications, *self.window.publications()), self.stream.offset, self._limit)
            self._keep(kept)
        return True

    def _keep(self, window: Window) -> None:
        self.window = window
        options = self._works.options
        small = window.size <= options.recovery_window_bytes
        kept = min(options.recovery_window_seconds, self.options.history_ttl) if small else 0.0
        self.window_expires = self._works.monotonic() + kept
        self._works.keep_window(self)

    def _answered(self, read: RangeRead) -> None:
        self.counts.shared_reads += max(0, len(read.waiters) - 1)
        for waiter in read.waiters:
            waiter.answered = True

    def _read_on(self) -> None:
        if not self.stream.positioned:
            if self.waiting:
                self._works.read_soon(self)
        elif self.stream.gapped or self._who_needs_history():
            self._works.read_soon(self)
        elif self.stream.doubtful:
            self._doubt()


def _since(waiter: Waiter) -> int:
    since = waiter.request.recover_from
    return 0 if since is None else since.offset
