"""RabbitMQ has the metrics of queues that the alerts read, and counts there what no service sees."""

from __future__ import annotations

import aio_pika
import aiohttp
import pytest
import yaml
from alert_rules import SCRAPES_FILE, alerts
from eventually import eventually
from staging.broker import RunBroker
from staging.exposition import Scrape

pytestmark = pytest.mark.broker
COLLECTED = 30.0
"""RabbitMQ counts what is in a queue every few seconds."""


async def scrape(broker: RunBroker) -> Scrape:
    """Scrape as the example configuration says."""
    if broker.prometheus_url is None:
        pytest.skip("the port of the broker's Prometheus plugin is not known")
    scrapes = yaml.safe_load(SCRAPES_FILE.read_text("utf-8"))["scrape_configs"]
    (job,) = (each for each in scrapes if each["job_name"] == "rabbitmq-queues")
    parameters = [(name, value) for name, values in job["params"].items() for value in values]
    url = broker.prometheus_url + job["metrics_path"]
    async with aiohttp.ClientSession() as session, session.get(url, params=parameters) as answer:
        return Scrape.parse(await answer.text())


async def test_every_queue_has_the_metrics_that_alerts_read(run_broker: RunBroker, broker_url: str) -> None:
    wanted = {selector.metric for alert in alerts() for selector in alert.selectors if "rabbitmq_" in selector.metric}
    vhost = broker_url.rpartition("/")[2]

    async def complete() -> bool:
        samples = (await scrape(run_broker)).samples
        return all((metric, labels_of(vhost, queue)) in samples for metric in wanted for queue in QUEUES)

    assert wanted
    await eventually(complete, deadline=COLLECTED, what=f"{wanted} of every queue")


async def test_a_publication_that_no_queue_takes_is_counted_in_the_queue_of_dead_letters(
    run_broker: RunBroker, broker_url: str
) -> None:
    vhost = broker_url.rpartition("/")[2]
    async with await aio_pika.connect(broker_url) as connection:
        amqp_channel = await connection.channel()
        exchange = await amqp_channel.get_exchange("warren.publish", ensure=False)
        await exchange.publish(aio_pika.Message(b"1"), "nowhere.a", timeout=5, mandatory=False)

    async def counted() -> bool:
        samples = (await scrape(run_broker)).samples
        return samples.get(("rabbitmq_detailed_queue_messages", labels_of(vhost, "warren.dead"))) == 1

    await eventually(counted, deadline=COLLECTED, what="a dead letter in RabbitMQ's metrics")


QUEUES = ("warren.dead", "warren.rpc.auth", "warren.rpc.history", "warren.history.0", "warren.presence.0")


def labels_of(vhost: str, queue: str) -> frozenset[tuple[str, str]]:
    return frozenset({("vhost", vhost), ("queue", queue)})
