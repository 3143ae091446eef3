"""Regular expressions that channel names must match, in the syntax of RE2, as Centrifugo has them.

RE2 takes time linear in the name, whatever the expression. With Python's own engine one line of a namespace file could
let a client stop a gateway for minutes with one name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2  # type: ignore[import-untyped]  # carries no types

LONGEST: Final = 1_024
"""Characters of an expression."""


def check_regex(expression: str) -> str:
    """Return the expression. Raises ValueError unless it can be used."""
    if len(expression) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    try:
        _compiled(expression)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        told = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"is no regular expression of RE2: {told}") from error
    return expression


def matches(expression: str, channel: str) -> bool:
    """Whether a channel's name, without its namespace, has a part that the expression describes. ``^`` and ``$`` make
    that the whole. ``expression`` was checked.
    """
    head, colon, rest = channel.partition(":")
    return _compiled(expression).search(rest if colon else head) is not None


@lru_cache(maxsize=1_024)
def _compiled(expression: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(expression, options)
