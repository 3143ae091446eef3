"""W3C trace context in AMQP headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_shared.observability.trace_context import format_traceparent, parse_traceparent, sampled_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_sampled_context_survives_the_round_trip() -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1"}
    context = sampled_context(headers)

    assert context is not None
    assert context.is_remote
    assert format_traceparent(context) == headers


def test_the_decision_not_to_sample_is_carried_on() -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
    context = parse_traceparent(headers["traceparent"])

    assert context is not None
    assert format_traceparent(context) == headers


def test_an_unsampled_context_is_not_looked_at() -> None:
    assert sampled_context({"traceparent": f"00-{TRACE}-{SPAN}-00"}) is None
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-00") is not None


@pytest.mark.parametrize(
    "text",
    [
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-x",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
        "",
        None,
        7,
    ],
)
def test_a_malformed_traceparent_is_no_context(text: object) -> None:
    assert parse_traceparent(text) is None
    assert sampled_context({"traceparent": text}) is None


def test_a_later_version_may_carry_more_fields() -> None:
    assert parse_traceparent(f"01-{TRACE}-{SPAN}-01-more") is not None


@given(st.text(max_size=80) | st.binary(max_size=80), st.text(max_size=600) | st.integers())
def test_no_header_raises(traceparent: object, tracestate: object) -> None:
    sampled_context({"traceparent": traceparent, "tracestate": tracestate})
    parse_traceparent(traceparent, tracestate)
