"""The numbered publication, as gateways receive it on ``warren.deliver``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from warren_history.domain.publications import Appended
from warren_shared.contracts.publication import TAG_PREFIX, Header
from warren_shared.messaging.port import BINARY, JSON, Delivery, HeaderValue, Outgoing
from warren_shared.topology.catalogue import ExchangeName

_DELIVER: Final = ExchangeName.DELIVER.value
_OFFSET, _EPOCH, _TIME, _INFO = Header.OFFSET.value, Header.EPOCH.value, Header.TIME.value, Header.INFO.value
_TRACE: Final = (Header.TRACEPARENT.value, Header.TRACESTATE.value)
_LONGEST_TRACE_HEADER: Final = 512  # W3C Trace Context section 3.3.1.5
_LONGEST_SHORT_STRING: Final = 255


def numbered(delivery: Delivery, appended: Appended, trace: Mapping[str, str]) -> Outgoing:
    """Return what is stored under ``appended`` as a message to the channel's subscribers.

    Only headers of the contract go out: whatever else a publisher set, or claimed, stays behind.
    Without a span of ours in ``trace`` the publisher's own trace context is passed on.
    """
    content = appended.content
    headers: dict[str, HeaderValue] = {
        _OFFSET: appended.offset,
        _EPOCH: appended.epoch,
        _TIME: appended.time,
    }
    if content.info is not None:
        headers[_INFO] = content.info
    for name, value in content.tags.items():
        headers[TAG_PREFIX + name] = value
    if trace:
        headers.update(trace)
    elif delivery.headers:
        for name in _TRACE:
            context = delivery.headers.get(name)
            if isinstance(context, str) and len(context) <= _LONGEST_TRACE_HEADER:
                headers[name] = context
    return Outgoing(
        _DELIVER,
        delivery.routing_key,
        content.data,
        headers=headers,
        message_id=delivery.message_id,
        content_type=_fitting(content.content_type) or (BINARY if content.binary else JSON),
    )


def _fitting(content_type: str | None) -> str | None:
    """Leave out a content type that is no short string any more: one that was no UTF-8 came escaped."""
    if content_type is None or len(content_type.encode("utf-8", "surrogatepass")) > _LONGEST_SHORT_STRING:
        return None
    return content_type
