"""However much others send, the log stays within a rate, and says what it left out."""

from __future__ import annotations

from structlog.testing import capture_logs

from warren_shared.observability.bounded_log import BoundedLog


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


def test_beyond_the_rate_lines_are_left_out_and_counted_in_the_next() -> None:
    clock = Clock()
    log = BoundedLog(clock.monotonic, per_second=3)
    with capture_logs() as lines:
        for number in range(100):
            log.warning("delivery_dead_lettered", number=number)
        clock.seconds += 1
        log.warning("delivery_dead_lettered", number=100)
        log.warning("delivery_dead_lettered", number=101)

    assert [line["number"] for line in lines] == [0, 1, 2, 100, 101]
    assert [line.get("suppressed") for line in lines] == [None, None, None, 97, None]
    assert {line["log_level"] for line in lines} == {"warning"}


def test_an_event_has_a_rate_of_its_own() -> None:
    log = BoundedLog(Clock().monotonic, per_second=1)
    with capture_logs() as lines:
        for _ in range(5):
            log.info("client_refused")
        log.error("dead_letter_lost")

    assert [line["event"] for line in lines] == ["client_refused", "dead_letter_lost"]
