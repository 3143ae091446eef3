"""How messages become bytes on a WebSocket, by what they are encoded in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from warren_gateway.adapters.bare_pushes import bare
from warren_gateway.adapters.deflate import deflated
from warren_gateway.adapters.frames import Opcode, frame
from warren_gateway.domain.encoding import Encoding
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.protobuf.encoding import PROTOBUF
from warren_gateway.domain.protobuf.wire import delimited
from warren_gateway.ports import Framing


class JsonFraming:
    """Text frames, one message in each, however many are written at once.

    The client protocol lets a frame hold several messages as lines. Versions 5.0 to 5.7 of the
    JavaScript SDK dispatch the messages of such a frame asynchronously, and those of the next frame
    that the same read brought in between: publications arrive out of order, and a push may overtake
    the subscribe reply it belongs to. A header of two to four bytes for each message avoids that.
    """

    __slots__ = ()
    encoding: Encoding = JSON

    def pack(self, messages: Sequence[bytes]) -> bytes:
        """Return the frames that hold ``messages`` in order."""
        if len(messages) == 1:
            return frame(Opcode.TEXT, messages[0])
        return b"".join([frame(Opcode.TEXT, message) for message in messages])


class ProtobufFraming:
    """Binary frames, one message in each behind its length, for the same reason."""

    __slots__ = ()
    encoding: Encoding = PROTOBUF

    def pack(self, messages: Sequence[bytes]) -> bytes:
        """Return the frames that hold ``messages`` in order."""
        return b"".join([frame(Opcode.BINARY, delimited(message)) for message in messages])


class BareFraming:
    """Text frames for unidirectional clients, one push in each."""

    __slots__ = ()
    encoding: Encoding = JSON

    def pack(self, messages: Sequence[bytes]) -> bytes:
        """Return the frames that hold ``messages`` in order."""
        return JSON_FRAMING.pack(bare(messages))


class DeflatedFraming:
    """Frames like another framing's, compressed, once for all that are written the same."""

    __slots__ = ("_opcode", "_payloads", "encoding")

    def __init__(
        self, encoding: Encoding, opcode: Opcode, payloads: Callable[[Sequence[bytes]], Sequence[bytes]]
    ) -> None:
        """``payloads`` returns what the frames of messages hold."""
        self.encoding: Encoding = encoding
        self._opcode, self._payloads = opcode, payloads

    def pack(self, messages: Sequence[bytes]) -> bytes:
        """Return the frames that hold ``messages`` in order."""
        return b"".join([deflated(self._opcode, payload) for payload in self._payloads(messages)])


JSON_FRAMING: Final[Framing] = JsonFraming()
BARE_FRAMING: Final[Framing] = BareFraming()
PROTOBUF_FRAMING: Final[Framing] = ProtobufFraming()
DEFLATED_JSON_FRAMING: Final[Framing] = DeflatedFraming(JSON, Opcode.TEXT, lambda messages: messages)
DEFLATED_BARE_FRAMING: Final[Framing] = DeflatedFraming(JSON, Opcode.TEXT, bare)
DEFLATED_PROTOBUF_FRAMING: Final[Framing] = DeflatedFraming(
    PROTOBUF, Opcode.BINARY, lambda messages: [delimited(message) for message in messages]
)
