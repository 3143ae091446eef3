"""W3C trace context in AMQP headers: reading it costs next to nothing where it is not sampled.

Source: W3C Trace Context Level 1, sections 3.2 and 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from opentelemetry.trace import SpanContext, TraceFlags, TraceState

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST_TRACESTATE: Final = 512


def parse_traceparent(text: object, tracestate: object = None) -> SpanContext | None:
    """Return the remote context ``text`` names, or None if it is not a valid ``traceparent``."""
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    if not isinstance(text, str):
        return None
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return SpanContext(
        trace_id=int(trace_id, 16),
        span_id=int(span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(flags, 16) & TraceFlags.SAMPLED),
        trace_state=_parse_tracestate(tracestate),
    )


def sampled_context(headers: Mapping[str, object]) -> SpanContext | None:
    """Return the context of a message's headers if it is valid and sampled, else None.

    The sampled bit is looked at before anything is parsed.
    """
    text = headers.get("traceparent")
    if not isinstance(text, str | bytes) or len(text) < 55 or not _sampled(text):
        return None
    return parse_traceparent(text, headers.get("tracestate"))


def _sampled(text: str | bytes) -> bool:
    digit = text[54:55]
    return digit in ("1", "3", "5", "7", "9", "b", "d", "f") or digit in (
        b"1",
        b"3",
        b"5",
        b"7",
        b"9",
        b"b",
        b"d",
        b"f",
    )


def format_traceparent(context: SpanContext) -> dict[str, str]:
    """Return the headers that carry ``context``, none if it is invalid.

    One that is not sampled is carried too: the next service would decide again otherwise.
    """
    if not context.is_valid:
        return {}
    sampled = int(context.trace_flags.sampled)
    headers = {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{sampled:02x}"}
    if context.trace_state:
        headers["tracestate"] = context.trace_state.to_header()
    return headers


def _parse_tracestate(text: object) -> TraceState:
    if isinstance(text, str) and 0 < len(text) <= _LONGEST_TRACESTATE:
        return TraceState.from_header([text])
    return TraceState()
