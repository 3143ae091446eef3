"""The publication: a backend's whole contract, and what gateways receive.

A publication is an AMQP message whose body is the payload itself (JSON, or bytes on binary
namespaces) and whose routing key is the channel's. Everything about it travels in properties and
headers, so that no service needs to parse the payload to pass it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.json_text import deeper_than, parse_json

MAX_PAYLOAD_BYTES: Final = 1_048_576
"""A larger publication is dead-lettered: it would not fit a client's message limit."""

MAX_PAYLOAD_DEPTH: Final = 512
"""A deeper one is dead-lettered: Python's parser gives up at about 900, and with it a subscriber's whole message."""

MAX_MESSAGE_ID_BYTES: Final = 255
MAX_TAGS: Final = 32
MAX_TAG_BYTES: Final = 16_384
"""Names and values of all tags. An AMQP header must fit one frame, with what history adds to it."""
MAX_INFO_BYTES: Final = 16_384


class DeliverType(StrEnum):
    """The AMQP ``type`` property on ``warren.deliver``; absent means a publication.

    A gateway makes a dead letter of a delivery whose type it does not know: shown to clients as a
    publication it would be a lie. What backends publish arrives by way of ``warren.publish`` and may
    have any type.

    The body of a join or leave is the client protocol's ClientInfo as a JSON object: ``user`` and
    ``client``, and ``conn_info`` and ``chan_info`` embedded as the JSON they are. That of a pack holds
    several publications, see :mod:`warren_shared.contracts.pack`.
    """

    PUBLICATION = "publication"
    JOIN = "join"
    LEAVE = "leave"
    PACK = "pack"


class Header(StrEnum):
    """AMQP headers of a publication. A backend may set the tags and the trace context; the rest is Warren's.

    Whoever does not know a header ignores it, and history does not pass it on: a publication must
    make sense without one that was added later.
    """

    OFFSET = "offset"  # integer, set by history: the publication's place in its stream
    EPOCH = "epoch"  # string, set by history: which incarnation of the stream
    TIME = "time"  # integer, set by history: Unix milliseconds at which it was stored
    INFO = "info"  # string, set by gateways: the publisher's ClientInfo as JSON text
    TRACEPARENT = "traceparent"
    TRACESTATE = "tracestate"


UNREADABLE_HEADERS: Final = "x-warren-unreadable"
"""Stands instead of all headers of a message whose header table cannot be decoded."""

TAG_PREFIX: Final = "tag-"
"""Headers ``tag-<name>`` become the publication's tags."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a channel's stream. Offsets count from 1, without gaps, within one epoch."""

    epoch: str
    offset: int


def check_payload(data: bytes, data_format: str) -> None:
    """Raise ContractError unless ``data`` is what the namespace's ``publication_data_format`` asks."""
    if len(data) > MAX_PAYLOAD_BYTES:
        raise ContractError(f"payload of {len(data)} bytes is over {MAX_PAYLOAD_BYTES}")
    if data_format == "binary":
        return
    try:
        document = parse_json(data)
    except ContractError as error:
        raise ContractError(f"payload is {error}") from error
    if deeper_than(data, MAX_PAYLOAD_DEPTH):
        raise ContractError(f"payload is nested deeper than {MAX_PAYLOAD_DEPTH} levels")
    if data_format == "json_object" and not isinstance(document, dict):
        raise ContractError("payload is no JSON object")


def tags_of(headers: Mapping[str, object]) -> dict[str, str]:
    """Return the publication's tags from its AMQP headers. Raises ContractError for unusable ones."""
    if UNREADABLE_HEADERS in headers:
        raise ContractError("the AMQP headers cannot be decoded")
    tags: dict[str, str] = {}
    for name, value in headers.items():
        if name.startswith(TAG_PREFIX):
            if not isinstance(value, str):
                raise ContractError(f"header {name!r} is no string")
            tags[name[len(TAG_PREFIX) :]] = value
    if len(tags) > MAX_TAGS:
        raise ContractError(f"more than {MAX_TAGS} tags")
    if sum(len(name.encode()) + len(value.encode()) for name, value in tags.items()) > MAX_TAG_BYTES:
        raise ContractError(f"tags of more than {MAX_TAG_BYTES} bytes")
    return tags
