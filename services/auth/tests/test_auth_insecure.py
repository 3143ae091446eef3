"""Insecure mode is not to be overlooked."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from warren_auth.domain.admission import Admission
from warren_auth.domain.subscription_admission import SubscriptionAdmission
from warren_auth.handlers import insecure
from warren_auth.handlers.requests import RequestHandler
from warren_auth.metrics import INSECURE, collector
from warren_shared.observability.metrics import Reading
from warren_shared.runtime.clock import SystemClock


async def test_it_is_warned_of_at_once_and_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insecure, "PAUSE_SECONDS", 0.001)
    with capture_logs() as logs, suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await insecure.warn_for_ever()
    assert len(logs) >= 2
    assert {(line["event"], line["log_level"]) for line in logs} == {("insecure_mode", "warning")}


@pytest.mark.parametrize("mode", [True, False])
def test_it_is_a_metric(admission: Admission, subscriptions: SubscriptionAdmission, mode: bool) -> None:
    readings = collector(RequestHandler(admission, subscriptions, SystemClock()), insecure=mode)()
    assert Reading(INSECURE, mode) in list(readings)
