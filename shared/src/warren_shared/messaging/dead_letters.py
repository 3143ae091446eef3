"""Dead letters: what could not be handled, kept for operators with the reason."""

from __future__ import annotations

from typing import Final

from warren_shared.messaging.port import BINARY, Delivery, Headers, HeaderValue, Outgoing
from warren_shared.topology.catalogue import ExchangeName

REASON_HEADER: Final = "x-warren-reason"
SERVICE_HEADER: Final = "x-warren-service"
EXCHANGE_HEADER: Final = "x-warren-exchange"
_LONGEST_REASON: Final = 500
_LONGEST_SHORT_STRING: Final = 255
_HEADER_BYTES: Final = 65_536
_INT64: Final = 2**63


def dead_letter(delivery: Delivery, reason: str, service: str) -> Outgoing:
    """Return ``delivery`` as a dead letter under its original routing key.

    Publish it with a confirm before the original is acked: then it is in one place or the other.
    """
    return Outgoing(
        ExchangeName.DEAD,
        _short(delivery.routing_key) or "",
        delivery.body,
        headers={
            **_sendable_headers(delivery.headers),
            REASON_HEADER: reason[:_LONGEST_REASON],
            SERVICE_HEADER: service,
            EXCHANGE_HEADER: delivery.exchange,
        },
        message_id=_short(delivery.message_id),
        type=_short(delivery.type),
        content_type=_short(delivery.content_type) or BINARY,
        persistent=True,
    )


def _short(text: str | None) -> str | None:
    return None if text is None else text.encode()[:_LONGEST_SHORT_STRING].decode(errors="ignore")


def _sendable_headers(headers: Headers) -> dict[str, HeaderValue]:
    """Return the headers as far as they fit into a frame again, whatever they were."""
    sendable: dict[str, HeaderValue] = {}
    room = _HEADER_BYTES
    for name, value in headers.items():
        kept = _sendable(value)
        room -= len(name.encode()) + (len(kept.encode()) if isinstance(kept, str) else 8)
        if room < 0:
            break
        sendable[name] = kept
    return sendable


def _sendable(value: object) -> HeaderValue:
    """Return a header's value, or a description of one that may not be encodable again."""
    if isinstance(value, str | bool) or (isinstance(value, int) and -_INT64 <= value < _INT64):
        return value
    return repr(value)[:_LONGEST_REASON]
