"""Deltas in the format of Fossil: how to make one text from another.

A delta is the size of the target and a line feed, then commands, then a checksum and ``;``. ``N@M,`` copies N bytes of
the source from M on, ``N:`` inserts the N bytes behind it. Numbers have 64 digits: 0-9, A-Z, ``_``, a-z, ``~``
(https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

_DIGITS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
_BLOCK: Final = 16
"""Bytes that must be the same for a copy to be begun."""
_PLACES: Final = 8
"""Places in the source that are looked at for one block."""
LONGEST_SEARCH: Final = 65_536
"""Bytes of a target, behind what is common at its beginning, in which copies are looked for; one may go beyond them."""


def delta_of(source: bytes, target: bytes, *, text: bool = False) -> bytes:
    """Return a delta that makes ``target`` from ``source``; it may be larger than the target.

    ``text``: both are UTF-8, and what is inserted is to be whole characters. The work is bounded by the size of
    both, however alike their parts are.
    """
    parts = [_number(len(target)), b"\n"]
    at = 0
    for start, place, size in _copies(source, target):
        begin, end = _whole_characters(target, start, start + size) if text else (start, start + size)
        if end - begin < _BLOCK:
            continue
        if begin > at:
            parts += (_number(begin - at), b":", target[at:begin])
        parts += (_number(end - begin), b"@", _number(place + begin - start), b",")
        at = end
    if at < len(target):
        parts += (_number(len(target) - at), b":", target[at:])
    parts += (_number(checksum(target)), b";")
    return b"".join(parts)


def checksum(data: bytes) -> int:
    """Return the sum of the big-endian words of 32 bits, the last filled up with zeros, without its overflow."""
    words = (len(data) + 3) // 4
    total: int = sum(struct.unpack(f">{words}I", data.ljust(words * 4, b"\0")))
    return total & 0xFFFF_FFFF


def _number(value: int) -> bytes:
    digits = bytearray()
    while True:
        value, digit = divmod(value, 64)
        digits.append(_DIGITS[digit])
        if not value:
            digits.reverse()
            return bytes(digits)


def _copies(source: bytes, target: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield what can be copied, ascending and apart: where in the target, where in the source, how much."""
    begin = _common(source, 0, target, 0)
    if begin >= _BLOCK:
        yield 0, 0, begin
    else:
        begin = 0
    ending = _common_ending(source, target, min(len(source), len(target)) - begin)
    end = len(target) - (ending if ending >= _BLOCK else 0)
    yield from _search(source, target, begin, end)
    if end < len(target):
        yield end, len(source) - ending, ending


def _search(source: bytes, target: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    if end - begin < _BLOCK:
        return
    blocks = _blocks(source)
    at = done = begin
    last = min(end, begin + LONGEST_SEARCH)
    while at + _BLOCK <= last:
        places = blocks.get(target[at : at + _BLOCK])
        if places is None:
            at += 1
            continue
        start, place, size = max(
            (_extended(source, place, target, at, done, end) for place in places), key=lambda copy: copy[2]
        )
        yield start, place, size
        at = done = start + size


def _blocks(source: bytes) -> dict[bytes, list[int]]:
    """Return where each block begins, for blocks side by side."""
    found: dict[bytes, list[int]] = {}
    for place in range(0, min(len(source), 4 * LONGEST_SEARCH) - _BLOCK + 1, _BLOCK):
        places = found.setdefault(source[place : place + _BLOCK], [])
        if len(places) < _PLACES:
            places.append(place)
    return found


def _extended(source: bytes, place: int, target: bytes, at: int, first: int, end: int) -> tuple[int, int, int]:
    """Return a copy made as long as it can be, backwards to ``first`` and forwards to ``end``."""
    size = min(_common(source, place, target, at), end - at)
    while at > first and place > 0 and source[place - 1] == target[at - 1]:
        at, place, size = at - 1, place - 1, size + 1
    return at, place, size


def _common(one: bytes, one_at: int, other: bytes, other_at: int) -> int:
    """Return how many bytes are the same from there on, found by halving."""
    most = min(len(one) - one_at, len(other) - other_at)
    return _longest(most, lambda size: one[one_at : one_at + size] == other[other_at : other_at + size])


def _common_ending(one: bytes, other: bytes, most: int) -> int:
    return _longest(most, lambda size: one[len(one) - size :] == other[len(other) - size :])


def _longest(most: int, same: Callable[[int], bool]) -> int:
    """Return the greatest size, at most ``most``, of which ``same`` is true; it is true of all smaller ones."""
    low, step = 0, _BLOCK
    while low + step <= most and same(low + step):
        low, step = low + step, step * 2
    high = min(most, low + step - 1)
    while low < high:
        middle = (low + high + 1) // 2
        if same(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _whole_characters(target: bytes, begin: int, end: int) -> tuple[int, int]:
    """Return the copy without what is of a character that it has a part of only (RFC 3629 section 3)."""
    while begin < end and target[begin] & 0xC0 == 0x80:
        begin += 1
    while end > begin and end < len(target) and target[end] & 0xC0 == 0x80:
        end -= 1
    return begin, end
