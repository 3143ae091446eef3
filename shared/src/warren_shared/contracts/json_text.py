"""JSON as text: what a parser says of a payload that is passed on as it came."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

import orjson

from warren_shared.contracts.envelope import ContractError

_LONE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_REPLACEMENT: Final = b"\\ufffd"
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def parse_json(text: bytes) -> object:
    """Parse. Raises ContractError for what is no JSON.

    An escape of one half of a surrogate pair, as in a string that was cut within an emoji, is JSON
    (RFC 8259 section 8.2). ``JSON.stringify`` writes it and the SDKs' parsers read it; orjson does not.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        alone = lone_surrogates(text)
        if not alone:
            raise ContractError(f"no JSON: {error}") from error
    try:
        return orjson.loads(put(text, alone, _REPLACEMENT))
    except orjson.JSONDecodeError as error:
        raise ContractError(f"no JSON: {error}") from error


def lone_surrogates(text: bytes) -> list[int]:
    """Return where in a JSON text escapes of lone surrogates begin; each is six bytes."""
    # Taken out, with as many bytes in its place, an escaped backslash cannot begin an escape.
    return [found.start() for found in _LONE.finditer(text.replace(rb"\\", b"__"))]


def put(text: bytes, places: list[int], six: bytes) -> bytes:
    """Return the text with ``six`` bytes in place of those at each of the ascending places."""
    changed = bytearray(text)
    for place in places:
        changed[place : place + 6] = six
    return bytes(changed)


def deeper_than(text: bytes, levels: int) -> bool:
    """Whether arrays and objects are nested deeper, in a text that is JSON.

    As good as free where there are no more of them than levels; else about as dear as parsing.
    """
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _ALL_BUT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > levels
