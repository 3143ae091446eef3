"""How requests to the other services end, in counts, times and log lines."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from warren_gateway.handlers.request_outcomes import Method, Outcome, RequestOutcomes
from warren_gateway.ports import RequestFailedError, ServiceUnavailableError
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.envelope import ContractError
from warren_shared.messaging.port import (
    BrokerUnavailableError,
    DeadlineExceededError,
    PublishRejectedError,
    UnsendableMessageError,
)


class Watch:
    """A clock that is told the time."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def counted(outcomes: RequestOutcomes) -> dict[tuple[Method, Outcome], int]:
    return {key: count for key, count in outcomes.counts.items() if count}


def end(outcomes: RequestOutcomes, method: Method, error: BaseException) -> None:
    with outcomes.counting(method):
        raise error


def test_every_method_and_outcome_reads_0_before_the_first_request() -> None:
    outcomes = RequestOutcomes(Watch())
    assert {(method, outcome) for method in Method for outcome in Outcome} == set(outcomes.counts)
    assert set(outcomes.counts.values()) == {0}


def test_an_answer_is_counted_and_timed_and_makes_no_line() -> None:
    watch = Watch()
    outcomes = RequestOutcomes(watch)
    with capture_logs() as logs, outcomes.counting(Method.HISTORY):
        watch.time += 0.75
    assert counted(outcomes) == {(Method.HISTORY, Outcome.OK): 1}
    assert outcomes.seconds[Method.HISTORY].total == 0.75
    assert logs == []


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (DeadlineExceededError("x"), Outcome.TIMEOUT),
        (BrokerUnavailableError("x"), Outcome.UNAVAILABLE),
        (PublishRejectedError("x"), Outcome.REJECTED),
        (UnsendableMessageError("x"), Outcome.REJECTED),
        (ContractError("x"), Outcome.NOT_UNDERSTOOD),
        (ServiceUnavailableError("x"), Outcome.FAILED),
    ],
)
def test_a_request_without_a_usable_answer_is_counted_logged_and_means_unavailable(
    error: Exception, outcome: Outcome
) -> None:
    outcomes = RequestOutcomes(Watch())
    with capture_logs() as logs, pytest.raises(ServiceUnavailableError):
        end(outcomes, Method.CONNECT, error)
    assert counted(outcomes) == {(Method.CONNECT, outcome): 1}
    assert [(line["event"], line["method"], line["outcome"]) for line in logs] == [
        ("service_request_failed", "connect", outcome.value)
    ]


def test_an_error_that_passes_is_a_fault_and_one_that_stays_is_the_askers_business() -> None:
    outcomes = RequestOutcomes(Watch())
    with capture_logs() as logs:
        for error in (Errors.INTERNAL, Errors.NOT_AVAILABLE):
            with pytest.raises(RequestFailedError):
                end(outcomes, Method.HISTORY, RequestFailedError(error))
    assert counted(outcomes) == {(Method.HISTORY, Outcome.FAILED): 1, (Method.HISTORY, Outcome.REFUSED): 1}
    assert [line["outcome"] for line in logs] == ["failed"]


def test_a_cancelled_request_is_not_counted() -> None:
    outcomes = RequestOutcomes(Watch())
    with pytest.raises(asyncio.CancelledError):
        end(outcomes, Method.PRESENCE, asyncio.CancelledError())
    assert counted(outcomes) == {}
    assert sum(outcomes.seconds[Method.PRESENCE].counts) == 0


def test_the_log_is_not_flooded_while_a_service_is_away() -> None:
    watch = Watch()
    outcomes = RequestOutcomes(watch)
    with capture_logs() as logs:
        for _ in range(1000):
            with pytest.raises(ServiceUnavailableError):
                end(outcomes, Method.CONNECT, DeadlineExceededError("x"))
        assert len(logs) == 5
        watch.time += 1.0
        with pytest.raises(ServiceUnavailableError):
            end(outcomes, Method.CONNECT, DeadlineExceededError("x"))
    assert len(logs) == 6
    assert counted(outcomes) == {(Method.CONNECT, Outcome.TIMEOUT): 1001}
