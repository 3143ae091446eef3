"""The alert rules name what exists, and the operator's manual explains each of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import yaml
from alert_rules import RULES_FILE, SCRAPES_FILE, TESTS_FILE, Alert, alerts

from warren_auth.domain.decisions import Outcome as AuthOutcome
from warren_dev.reference.discovery import SERVICES, service_metrics, shared_metrics
from warren_dev.reference.metrics import exposed_name
from warren_gateway.handlers.request_outcomes import Outcome as RequestOutcome
from warren_shared.contracts.codes import Disconnect, Disconnects
from warren_shared.observability.metrics import MetricSpec
from warren_shared.topology.catalogue import topology

PROMTOOL = shutil.which("promtool")
MANUAL = Path(__file__).resolve().parents[2] / "docs/operator.md"
OF_A_TARGET = {"job", "instance"}
"""Labels that Prometheus adds."""
FROM_ELSEWHERE = {
    "up": set[str](),
    "rabbitmq_detailed_queue_messages": {"vhost", "queue"},
    "rabbitmq_detailed_queue_messages_ready": {"vhost", "queue"},
    "rabbitmq_detailed_queue_consumers": {"vhost", "queue"},
}
"""That RabbitMQ has these is tested with the broker (tests/integration)."""
VALUES: Mapping[tuple[str, str], Iterable[str]] = {
    ("warren_gateway_requests_total", "outcome"): list(RequestOutcome),
    ("warren_auth_requests_total", "outcome"): list(AuthOutcome),
    ("warren_gateway_disconnects_total", "code"): [
        str(each.code) for each in vars(Disconnects).values() if isinstance(each, Disconnect)
    ],
}

ALERTS = alerts()
every_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def specs() -> list[MetricSpec]:
    return [*shared_metrics(), *(spec for service in SERVICES for spec in service_metrics(service))]


def labels_by_metric() -> dict[str, set[str]]:
    labels = {exposed_name(spec): set(spec.labels) for spec in specs() if spec.kind != "histogram"}
    for spec in specs():
        if spec.kind == "histogram":
            labels |= {f"{spec.name}_bucket": {*spec.labels, "le"}}
            labels |= {f"{spec.name}_{part}": set(spec.labels) for part in ("sum", "count")}
    return labels | FROM_ELSEWHERE


def alternatives(pattern: str) -> list[str]:
    return pattern.split("|")


@every_alert
def test_every_metric_and_label_an_alert_names_exists(alert: Alert) -> None:
    known = labels_by_metric()

    assert alert.selectors
    for selector in alert.selectors:
        assert selector.metric in known
        has = known[selector.metric] | OF_A_TARGET
        assert {label for label, _ in selector.matchers} <= has
        assert alert.grouped_by <= has


@every_alert
def test_every_value_an_alert_looks_for_may_come_up(alert: Alert) -> None:
    for selector in alert.selectors:
        for label, pattern in selector.matchers:
            if label not in {"job", "queue"}:
                assert set(alternatives(pattern)) <= set(VALUES[selector.metric, label])


@every_alert
def test_an_alert_says_what_is_wrong_and_which_part_of_the_runbook_helps(alert: Alert) -> None:
    runbook = MANUAL.read_text("utf-8").partition("\n## Runbook\n")[2].partition("\n## ")[0]
    anchors = {
        title.lower().replace(" ", "-").replace(",", "") for title in re.findall(r"^### (.+)$", runbook, re.MULTILINE)
    }
    page, _, anchor = alert.annotations["runbook"].partition("#")

    assert alert.annotations["summary"]
    assert page == "docs/operator.md"
    assert anchor in anchors


def test_the_manual_explains_the_alerts_that_exist() -> None:
    section = MANUAL.read_text("utf-8").partition("\n## Alerts\n")[2].partition("\n## ")[0]
    explained = re.findall(r"^\| `(Warren\w+)` \|", section, re.MULTILINE)

    assert explained == [alert.name for alert in ALERTS]


def test_queues_an_alert_names_are_those_of_the_topology() -> None:
    patterns = {
        pattern
        for alert in ALERTS
        for selector in alert.selectors
        for label, pattern in selector.matchers
        if label == "queue"
    }
    queues = {queue.name for queue in topology().queues}

    assert all(any(re.fullmatch(pattern, queue) for queue in queues) for pattern in patterns)
    assert {queue for queue in queues if any(re.fullmatch(pattern, queue) for pattern in patterns)} == queues


def test_whatever_becomes_a_dead_letter_raises_an_alert() -> None:
    named = {selector.metric for alert in ALERTS for selector in alert.selectors}
    counters = {exposed_name(spec) for spec in specs() if "dead_letter" in spec.name}

    assert counters
    assert counters | {"warren_history_rejected_total"} <= named


def test_every_job_an_alert_names_is_scraped() -> None:
    jobs = {job["job_name"] for job in yaml.safe_load(SCRAPES_FILE.read_text("utf-8"))["scrape_configs"]}
    patterns = {
        pattern
        for alert in ALERTS
        for selector in alert.selectors
        for label, pattern in selector.matchers
        if label == "job"
    }

    assert {f"warren-{service}" for service in SERVICES} <= jobs
    assert all(any(re.fullmatch(pattern, job) for job in jobs) for pattern in patterns)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize(
    "arguments", [("check", "rules", RULES_FILE), ("check", "config", SCRAPES_FILE), ("test", "rules", TESTS_FILE)]
)
def test_prometheus_takes_the_files_and_the_rules_fire_as_they_should(arguments: tuple[str | Path, ...]) -> None:
    command = [str(PROMTOOL), *map(str, arguments)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr
