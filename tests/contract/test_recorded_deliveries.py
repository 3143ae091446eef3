"""Publications, joins and leaves recorded from every released version reach clients as they did.

A line of recorded/<version>/deliveries.jsonl is an AMQP message to gateways (``wire``), and what
clients are shown of it (``means``). Never change a line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from warren_gateway.domain.encoding import announced_client, durable_publication, live_publication
from warren_history.domain.admission import Admission
from warren_history.domain.publications import NewPublication
from warren_shared.contracts.channels import channel_of, routing_key_of
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.publication import DeliverType
from warren_shared.topology.catalogue import ExchangeName

FILES = sorted((Path(__file__).parent / "recorded").glob("*/deliveries.jsonl"))
LINES = [orjson.loads(line) for file in FILES for line in file.read_bytes().splitlines()]
DURABLE = parse_namespaces(
    "{without_namespace: {history_size: 9, history_ttl: 1m}, "
    "namespaces: [{name: chat, history_size: 9, history_ttl: 1m}]}"
)


def shown(wire: dict[str, Any]) -> dict[str, Any]:
    """Return what a gateway makes of a delivery."""
    body, headers = wire["body"].encode(), wire["headers"]
    kind = DeliverType(wire["type"]) if wire["type"] else DeliverType.PUBLICATION
    channel = channel_of(wire["routing_key"])
    if kind is not DeliverType.PUBLICATION:
        return {"channel": channel, kind.value: {"info": orjson.loads(announced_client(body))}}
    if wire["exchange"] != ExchangeName.DELIVER:
        return {"channel": channel, "pub": orjson.loads(live_publication(body, headers, "json"))}
    epoch, publication = durable_publication(body, headers, "json")
    return {"channel": channel, "epoch": epoch, "pub": orjson.loads(publication.encoded)}


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line['wire']['exchange']} {line['wire']['type']}")
def test_a_recorded_delivery_is_shown_as_it_was(line: dict[str, Any]) -> None:
    assert shown(line["wire"]) == line["means"]
    assert routing_key_of(line["means"]["channel"]) == line["wire"]["routing_key"]


@pytest.mark.parametrize("line", [line for line in LINES if line["wire"]["exchange"] == ExchangeName.PUBLISH])
def test_a_recorded_publication_is_stored_whole(line: dict[str, Any]) -> None:
    wire, pub = line["wire"], line["means"]["pub"]

    new = Admission(DURABLE).admit(
        wire["routing_key"], wire["body"].encode(), wire["headers"], message_id=wire["message_id"]
    )

    assert isinstance(new, NewPublication)
    assert (new.channel, new.message_id) == (line["means"]["channel"], wire["message_id"])
    assert orjson.loads(new.content.data) == pub["data"]
    assert orjson.loads(new.content.info or "null") == pub.get("info")
    assert dict(new.content.tags) == pub.get("tags", {})
