"""The socket side's metrics."""

from __future__ import annotations

from warren_gateway.socket_metrics import CATALOGUE, SocketCounters, readings


def values(counters: SocketCounters) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(reading.spec.name, reading.labels): reading.value for reading in readings(counters, lambda: 0)}


def test_what_has_not_happened_yet_reads_0() -> None:
    read = values(SocketCounters())

    assert {name for name, _ in read} == {spec.name for spec in CATALOGUE}
    assert set(read.values()) == {0}
    for expected in (
        ("warren_gateway_disconnects", ("3008",)),
        ("warren_gateway_error_replies", ("100",)),
        ("warren_gateway_connections_refused", ("limit",)),
        ("warren_gateway_commands", ("subscribe",)),
    ):
        assert expected in read


def test_a_code_that_auth_made_up_is_counted_too() -> None:
    counters = SocketCounters()
    counters.disconnects[4500] += 1
    counters.error_replies[1000] += 2
    read = values(counters)

    assert read["warren_gateway_disconnects", ("4500",)] == 1
    assert read["warren_gateway_error_replies", ("1000",)] == 2
