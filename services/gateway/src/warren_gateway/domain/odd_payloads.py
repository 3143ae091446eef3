"""Lines the decoder refuses because of a payload inside: made decodable, so that one command is refused at most.

The decoder checks strings it is not asked to read, and counts brackets. Both would end a connection
for what a user typed. Only lines that were refused come here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from warren_shared.contracts.json_text import lone_surrogates, put

_LEVELS: Final = 16
"""No command nests so deep but in what is of no interest to the gateway."""
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\u[0-9a-f]{4}")
_PRIVATE_USE: Final = range(0xE000, 0xF900)


@dataclass(frozen=True, slots=True)
class StoodIn:
    """A line in which an escape that occurs nowhere else stands for each lone surrogate."""

    line: bytes
    _stand_in: bytes
    _originals: tuple[bytes, ...]

    def restored(self, payload: bytes) -> bytes | None:
        """Return a part of the line as it came; None if it has some of the surrogates, but not all."""
        pieces = payload.split(self._stand_in)
        if len(pieces) == 1:
            return payload
        if len(pieces) != len(self._originals) + 1:
            return None
        return pieces[0] + b"".join(
            original + piece for original, piece in zip(self._originals, pieces[1:], strict=True)
        )


def with_stand_ins(line: bytes) -> StoodIn | None:
    """Replace lone surrogates; None if there are none."""
    places = lone_surrogates(line)
    if not places:
        return None
    used = set(_ESCAPE.findall(line))
    # A line long enough to use them all is not decoded.
    stand_in = next((escape for code in _PRIVATE_USE if (escape := b"\\u%04x" % code) not in used), None)
    if stand_in is None:
        return None
    return StoodIn(put(line, places, stand_in), stand_in, tuple(line[place : place + 6] for place in places))


def shallow(line: bytes) -> bytes:
    """Return the line with a 0 for whatever is nested deep."""
    pieces, begin, depth = [], 0, 0
    for token in _TOKEN.finditer(line):
        what = line[token.start()]
        if what in b"[{":
            depth += 1
            if depth == _LEVELS:
                pieces.append(line[begin : token.start()] + b"0")
                begin = len(line)
        elif what in b"]}":
            if depth == _LEVELS:
                begin = token.end()
            depth -= 1
    return b"".join((*pieces, line[begin:]))
