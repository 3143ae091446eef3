"""How messages become bytes in the body of an HTTP response that does not end (RFC 9112 section 7).

A client of HTTP/1.0, as some proxies are, knows no chunks: its bodies end with the connection. Framings are
shared by all connections of a kind, so what the fan-out packs is packed once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from warren_gateway.adapters.bare_pushes import bare
from warren_gateway.domain.encoding import Encoding
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.protobuf.encoding import PROTOBUF
from warren_gateway.domain.protobuf.wire import delimited


def _lines(messages: Sequence[bytes]) -> bytes:
    return b"%b\n" % b"\n".join(messages)


def _delimited(messages: Sequence[bytes]) -> bytes:
    return b"".join(map(delimited, messages))


def _events(messages: Sequence[bytes]) -> bytes:
    return b"".join([b"data: %b\n\n" % message for message in messages])


@dataclass(frozen=True, slots=True, eq=False)
class HttpFraming:
    """One way of writing messages into a body; it stands for itself, whatever others are like."""

    encoding: Encoding
    content_type: str
    join: Callable[[Sequence[bytes]], bytes]
    chunked: bool
    opening: bytes = b""
    """What a body begins with."""

    def pack(self, messages: Sequence[bytes]) -> bytes:
        """Return the part of a body that holds ``messages`` in order."""
        return self.part(self.join(messages))

    def part(self, body: bytes) -> bytes:
        """Return a part of the body as it is written."""
        return b"%x\r\n%b\r\n" % (len(body), body) if self.chunked else body

    @property
    def end(self) -> bytes:
        """What is written behind the last part."""
        return b"0\r\n\r\n" if self.chunked else b""


@dataclass(frozen=True, slots=True)
class StreamKind:
    """A kind of stream, in chunks and without."""

    chunked: HttpFraming
    plain: HttpFraming


def _kind(
    encoding: Encoding, content_type: str, join: Callable[[Sequence[bytes]], bytes], opening: bytes = b""
) -> StreamKind:
    return StreamKind(
        *(HttpFraming(encoding, content_type, join, chunked, opening) for chunked in (True, False)),
    )


JSON_LINES: Final = _kind(JSON, "application/x-ndjson", _lines)
PROTOBUF_STREAM: Final = _kind(PROTOBUF, "application/octet-stream", _delimited)
EVENT_STREAM: Final = _kind(JSON, "text/event-stream", _events, b"\r\n")
BARE_LINES: Final = _kind(JSON, "application/x-ndjson", lambda messages: _lines(bare(messages)))
BARE_EVENTS: Final = _kind(JSON, "text/event-stream", lambda messages: _events(bare(messages)), b"\r\n")
