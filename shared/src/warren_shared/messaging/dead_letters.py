"""Dead letters: what could not be handled, kept for operators with the reason.

Whatever a publisher put on its message, the letter must be one the broker takes: a letter that is
refused closes the amqp channel it was sent on, and keeps its original from being settled.
"""

from __future__ import annotations

from typing import Final

from warren_shared.contracts.publication import TAG_PREFIX, Header
from warren_shared.messaging.port import BINARY, NO_HEADERS, Delivery, Headers, HeaderValue, Outgoing
from warren_shared.topology.catalogue import ExchangeName

REASON_HEADER: Final = "x-warren-reason"
SERVICE_HEADER: Final = "x-warren-service"
EXCHANGE_HEADER: Final = "x-warren-exchange"
ORIGINAL_PREFIX: Final = "x-original-"
"""Stands before a header that is not of the publication's contract. RabbitMQ acts on some by their
name: on ``CC`` and ``BCC`` (Sender-selected Distribution), ``x-death``, and what plugins add. It
refuses a message whose ``CC`` is no list; and a letter goes nowhere but to ``warren.dead``."""

_CONTRACT: Final = frozenset(Header)
_LONGEST_REASON: Final = 500
_LONGEST_FOREIGN: Final = 1024
_LONGEST_SHORT_STRING: Final = 255
_LONGEST_NAME: Final = 128
"""AMQP 0-9-1 names a header with a short string; the client library cuts it here."""
_MOST_HEADERS: Final = 64
_HEADER_BYTES: Final = 49_152
"""All headers together: they must fit one frame, and what the contract allows must fit them."""
_ENTRY_BYTES: Final = 14
"""What a header takes beside its name and text: lengths, type, a number."""
_INT64: Final = 2**63


def dead_letter(delivery: Delivery, reason: str, service: str) -> Outgoing:
    """Return ``delivery`` as a dead letter under its original routing key.

    Publish it with a confirm before the original is acked: then it is in one place or the other.
    Headers of the publication's contract keep their names, others get ORIGINAL_PREFIX; what does not
    fit is cut, or left out.
    """
    return _letter(delivery, reason, service, _sendable_headers(delivery.headers))


def bare_dead_letter(delivery: Delivery, reason: str, service: str) -> Outgoing:
    """Return a dead letter with nothing of the delivery but its key and body, for a broker that refuses more."""
    return _letter(Delivery(delivery.exchange, delivery.routing_key, delivery.body), reason, service, NO_HEADERS)


def _letter(delivery: Delivery, reason: str, service: str, headers: Headers) -> Outgoing:
    return Outgoing(
        ExchangeName.DEAD,
        _short(delivery.routing_key) or "",
        delivery.body,
        headers={
            **headers,
            REASON_HEADER: _cut(reason, _LONGEST_REASON),
            SERVICE_HEADER: service,
            EXCHANGE_HEADER: _cut(delivery.exchange, _LONGEST_SHORT_STRING),
        },
        message_id=_short(delivery.message_id),
        type=_short(delivery.type),
        content_type=_short(delivery.content_type) or BINARY,
        persistent=True,
    )


def _short(text: str | None) -> str | None:
    return None if text is None else _cut(text, _LONGEST_SHORT_STRING)


def _cut(text: str, size: int) -> str:
    """Return as much of a text as fits so many bytes of UTF-8."""
    return text.encode("utf-8", "backslashreplace")[:size].decode(errors="ignore")


def _sendable_headers(headers: Headers) -> dict[str, HeaderValue]:
    """Return the headers as far as they fit into a frame again, those of the contract first."""
    sendable: dict[str, HeaderValue] = {}
    room = _HEADER_BYTES
    for name, value in sorted(headers.items(), key=lambda header: not _of_contract(header[0])):
        kept_name, kept = _sendable(name, value)
        room -= len(kept_name.encode()) + _ENTRY_BYTES + (len(kept.encode()) if isinstance(kept, str) else 0)
        if room < 0 or len(sendable) == _MOST_HEADERS:
            break
        sendable[kept_name] = kept
    return sendable


def _sendable(name: str, value: object) -> tuple[str, HeaderValue]:
    """Return a header under a name that nobody acts on, with its value or a description of it."""
    of_contract = _of_contract(name)
    kept_name = _cut(name if of_contract else ORIGINAL_PREFIX + name, _LONGEST_NAME)
    if isinstance(value, bool) or (isinstance(value, int) and -_INT64 <= value < _INT64):
        return kept_name, value
    if isinstance(value, str):
        return kept_name, _cut(value, _HEADER_BYTES if of_contract else _LONGEST_FOREIGN)
    return kept_name, _cut(_described(value), _LONGEST_FOREIGN)


def _described(value: object) -> str:
    try:
        return repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number of too many digits
        return f"a {type(value).__name__}"


def _of_contract(name: str) -> bool:
    return name in _CONTRACT or name.startswith(TAG_PREFIX)
