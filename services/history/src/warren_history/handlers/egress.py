"""The numbered publication, as gateways receive it on ``warren.deliver``: alone, or in a pack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from warren_history.domain.publications import Appended
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.pack import NO_HEADERS, Packed, pack_publication
from warren_shared.contracts.publication import TAG_PREFIX, DeliverType, Header
from warren_shared.messaging.port import BINARY, JSON, Delivery, HeaderValue, Outgoing
from warren_shared.topology.catalogue import ExchangeName

_DELIVER: Final = ExchangeName.DELIVER.value
_PACK: Final = DeliverType.PACK.value
_OFFSET, _EPOCH, _TIME, _INFO = Header.OFFSET.value, Header.EPOCH.value, Header.TIME.value, Header.INFO.value
_TRACE: Final = (Header.TRACEPARENT.value, Header.TRACESTATE.value)
_LONGEST_TRACE_HEADER: Final = 512  # W3C Trace Context section 3.3.1.5
_LONGEST_SHORT_STRING: Final = 255


class Leaving(NamedTuple):
    """A stored publication on its way to its channel's subscribers."""

    delivery: Delivery
    """How it came."""
    appended: Appended
    trace: Mapping[str, str]
    """The headers of our span for it; without one the publisher's own trace context is passed on."""


def numbered(leaving: Leaving) -> Outgoing:
    """Return it as a message of its own.

    Only headers of the contract go out: whatever else a publisher set, or claimed, stays behind.
    """
    delivery, appended, _ = leaving
    headers: dict[str, HeaderValue] = {
        _OFFSET: appended.offset,
        _EPOCH: appended.epoch,
        _TIME: appended.time,
    }
    if carried := _carried(leaving):
        headers.update(carried)
    return Outgoing(
        _DELIVER,
        delivery.routing_key,
        appended.content.data,
        headers=headers,
        message_id=delivery.message_id,
        content_type=_content_type(appended),
    )


def packed(leaving: Leaving) -> bytes | None:
    """Return it as it goes into a pack, None if it does not fit one."""
    delivery, appended, _ = leaving
    content_type = _content_type(appended)
    try:
        return pack_publication(
            Packed(
                appended.offset,
                appended.time,
                appended.content.data,
                _carried(leaving),
                delivery.message_id or "",
                "" if content_type == JSON else content_type,
            )
        )
    except ContractError:
        return None


def pack(key: str, body: bytes) -> Outgoing:
    """Return a pack's message."""
    return Outgoing(_DELIVER, key, body, type=_PACK, content_type=BINARY)


def _carried(leaving: Leaving) -> Mapping[str, str]:
    """Return the headers that are not its position."""
    content, headers = leaving.appended.content, leaving.delivery.headers
    if content.info is None and not content.tags and not leaving.trace and not headers:
        return NO_HEADERS
    carried: dict[str, str] = {}
    if content.info is not None:
        carried[_INFO] = content.info
    for name, value in content.tags.items():
        carried[TAG_PREFIX + name] = value
    if leaving.trace:
        carried.update(leaving.trace)
        return carried
    for name in _TRACE:
        context = headers.get(name)
        if isinstance(context, str) and len(context) <= _LONGEST_TRACE_HEADER:
            carried[name] = context
    return carried


def _content_type(appended: Appended) -> str:
    """Return what fits a short string: a content type that was no UTF-8 came escaped."""
    content = appended.content
    given = content.content_type
    if given and len(given.encode("utf-8", "surrogatepass")) <= _LONGEST_SHORT_STRING:
        return given
    return BINARY if content.binary else JSON
