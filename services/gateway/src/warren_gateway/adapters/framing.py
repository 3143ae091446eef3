"""How pushes and replies become bytes on a WebSocket that speaks JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from warren_gateway.adapters.frames import Opcode, frame


class JsonFraming:
    """Text frames, one message in each, however many are written at once.

    The client protocol lets a frame hold several messages as lines. Versions 5.0 to 5.7 of the
    JavaScript SDK dispatch the messages of such a frame asynchronously, and those of the next frame
    that the same read brought in between: publications arrive out of order, and a push may overtake
    the subscribe reply it belongs to. A header of two to four bytes for each message avoids that.
    """

    __slots__ = ()

    def pack(self, pushes: Sequence[bytes]) -> bytes:
        """Return the frames that hold ``pushes`` in order."""
        if len(pushes) == 1:
            return frame(Opcode.TEXT, pushes[0])
        return b"".join([frame(Opcode.TEXT, push) for push in pushes])


JSON_FRAMING: Final = JsonFraming()
