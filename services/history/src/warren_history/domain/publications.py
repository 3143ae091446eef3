"""The values history works with. All times are Unix milliseconds, all durations milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from warren_shared.contracts.namespaces import NamespaceOptions

_NO_TAGS: Mapping[str, str] = MappingProxyType({})


def _no_tags() -> Mapping[str, str]:
    return _NO_TAGS


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a channel's stream is kept."""

    size: int
    """Publications."""
    ttl: int
    """How long a publication is kept."""
    meta_ttl: int
    """How long the epoch and the top offset outlive the last publication."""

    @classmethod
    def of(cls, options: NamespaceOptions) -> Retention:
        """Return what a namespace's options say."""
        return cls(options.history_size, _milliseconds(options.history_ttl), _milliseconds(options.history_meta_ttl))


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


@dataclass(frozen=True, slots=True)
class Content:
    """What a publication carries; none of it is looked into after admission."""

    data: bytes
    binary: bool = False
    """Whether ``data`` is bytes; else it is JSON text in UTF-8."""
    content_type: str | None = None
    info: str | None = None
    """The publisher's ClientInfo as JSON text."""
    tags: Mapping[str, str] = field(default_factory=_no_tags)


@dataclass(frozen=True, slots=True)
class NewPublication:
    """An admitted publication, to be appended to its channel's stream."""

    channel: str
    content: Content
    retention: Retention
    message_id: str | None = None
    """The publisher's idempotency key; None if it gave none."""


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a publication is in its stream, and what is kept there."""

    epoch: str
    offset: int
    time: int
    """When it was stored first."""
    content: Content
    duplicate: bool = False
    """Whether it had been stored before under the same message id."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One publication of a stream, as read."""

    offset: int
    time: int
    content: Content


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A read within the service's limits."""

    channel: str
    retention: Retention
    limit: int
    """Publications at most; 0 for the position alone."""
    max_bytes: int
    """Payload bytes at most, though one publication is always returned if there is one."""
    since: int | None = None
    """Exclusive; None for the stream's start, or its end with ``reverse``."""
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class StreamPage:
    """A stream's position and some of its publications, as of one moment."""

    epoch: str
    top: int
    publications: tuple[Stored, ...] = ()


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What one slice of trimming removed."""

    publications: int = 0
    message_ids: int = 0
    streams: int = 0
    more: bool = False
    """Whether there is more to remove now."""


@dataclass(frozen=True, slots=True)
class StoreSize:
    """How much a store holds."""

    streams: int
    publications: int
    message_ids: int
    bytes: int
