"""What a read request is allowed to ask, and the answer's shape (client protocol, section on history)."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from warren_history.domain.publications import ReadPlan, Retention, Stored, StreamPage
from warren_shared.contracts.channels import ChannelNameError, check_channel
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.history import Page, ReadRequest, StoredPublication
from warren_shared.contracts.namespaces import Namespaces

_GREATEST_OFFSET: Final = 2**63 - 1
"""Clients may send any unsigned 64-bit offset; no stream gets beyond this one."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What one page may hold at most."""

    publications: int
    bytes: int


def plan_read(request: ReadRequest, namespaces: Namespaces, limits: ReadLimits) -> ReadPlan | ErrorCode:
    """Return the read to make, or the protocol's error for the asker."""
    try:
        check_channel(request.channel)
    except ChannelNameError:
        return Errors.BAD_REQUEST
    options = namespaces.of_channel(request.channel)
    if options is None:
        return Errors.UNKNOWN_CHANNEL
    if not options.durable:
        return Errors.NOT_AVAILABLE
    since = request.since_offset
    return ReadPlan(
        request.channel,
        Retention.of(options),
        limits.publications if request.limit < 0 else min(request.limit, limits.publications),
        limits.bytes,
        None if since is None else min(since, _GREATEST_OFFSET),
        request.reverse,
    )


def page_of(page: StreamPage) -> Page:
    """Return a page as the contract writes it."""
    return Page(epoch=page.epoch, top=page.top, publications=tuple(map(_entry, page.publications)))


def _entry(stored: Stored) -> StoredPublication:
    content = stored.content
    data = b64encode(content.data).decode("ascii") if content.binary else content.data.decode("utf-8")
    return StoredPublication(
        offset=stored.offset,
        data=data,
        binary=content.binary,
        info=content.info,
        tags=dict(content.tags),
        time=stored.time,
    )
