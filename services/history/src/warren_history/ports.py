"""The store port: what history needs of a database, and what a database must promise.

Words: a *stream* is what is kept of one durable channel. It has an *epoch*, which names its
incarnation, and a *top*, the offset of its newest publication. Its *window* is what can still be
read: at most ``Retention.size`` publications, none older than ``Retention.ttl``. ``now`` is Unix
milliseconds and is passed in everywhere; it may step backwards.

Every store passes tests/store_behaviour.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from warren_history.domain.publications import (
    Appended,
    NewPublication,
    ReadPlan,
    StoreSize,
    StreamPage,
    Trimmed,
)


class StoreError(Exception):
    """Base of what a store raises."""


class StoreUnavailableError(StoreError):
    """The store cannot do it now: locked, full, unreachable, too slow or closed. What was asked for
    happened entirely or not at all; asking again is safe (see ``Store.append``).
    """


class StoreUnusableError(StoreError):
    """The store cannot be opened and trying again will not help; the message is one line for the
    operator.
    """


class Store(Protocol):
    """Keeps the streams of durable channels. Safe to call from many tasks at once.

    Every call waits for a bounded time and raises StoreUnavailableError; anything else it raises is a
    mistake, ours or one in what was to be stored, and nothing of that call was stored. Cancelling a call does not
    stop what has begun: it happens entirely or not at all.
    """

    async def append(self, batch: Sequence[NewPublication], *, now: int) -> Sequence[Appended]:
        """Append publications in their order, all of them in one transaction, or none.

        When it returns, the batch survives the death of the process, and that of the machine unless
        the store was told to risk it. The results are in the order of the batch.

        A publication whose message id its stream has seen within the idempotency window is not
        stored again: its result names the old offset and carries what was stored then (or, once
        that has left the window, what it was given now, under the old offset and time). Any other
        gets the next offset: they count from 1, by one, within an epoch. The idempotency window
        counts the time in which the store is open, so that what a broker kept through an outage is
        recognised after it. A publication without message id is stored whenever it is given.

        A stream that is missing, or whose ``meta_ttl`` has passed, begins anew under a random
        epoch. Size trimming happens here, a bounded number of publications at a time.

        Two processes may append to one stream at the same time: an offset is never given twice.
        """

    async def read(self, plan: ReadPlan, *, now: int) -> StreamPage:
        """Read a stream as of one moment, which is not before this call. Does not wait for appends.

        Forward: from the oldest publication of the window after ``since``, ascending, so a
        ``since`` older than the window yields the window's oldest. With ``reverse``: from the
        newest before ``since``, descending. The offsets of a page have no gaps. A page ends early
        at ``max_bytes``.

        Reading a stream that does not exist creates it, empty, before the page is returned, so a
        position given out can be recovered from later. A read in the second half of a stream's
        remaining life renews it: every position given out lives for at least half a ``meta_ttl``.
        """

    async def remove(self, channel: str) -> int:
        """Remove the publications a stream holds at the time of the call and return how many there were.

        Epoch, top and message ids stay, and the stream lives no longer for it: the next publication has
        the next offset, and a redelivery of what was removed is still recognised. A channel without a
        stream stays without. Goes from the oldest in slices, so that appends do not wait long; when it
        fails or is cancelled, some of the oldest may be gone, and asking again is safe.
        """

    async def renew_epochs(self) -> int:
        """Give every stream a new random epoch, all in one transaction, and return how many there are.

        Publications and offsets stay, so no position that was given out before can be recovered from.
        """

    async def trim(self, *, now: int, limit: int) -> Trimmed:
        """Remove at most ``limit`` each of publications and message ids that have expired, and of
        streams whose ``meta_ttl`` has passed. What has expired is never returned by ``read``,
        trimmed or not. Takes as long as an append of ``limit`` publications; appends that wait
        meanwhile come next.
        """

    async def begin_trial(self, queue: str, delivery: str) -> int:
        """Note that a delivery, named by a digest, is tried alone, and return how many trials of it have begun and
        not ended, this one included. A trial of another one of that queue begins the count anew.

        When it returns, the note survives the death of the process.
        """

    async def end_trial(self, queue: str) -> None:
        """Forget the trial of a queue, if there is one."""

    def size(self) -> StoreSize:
        """Return how much is kept; quick, does not wait and does not raise."""

    @property
    def healthy(self) -> bool:
        """Whether the store is open and its last operation did not fail."""

    async def close(self) -> None:
        """Finish what has begun and close. Later calls raise StoreUnavailableError."""
