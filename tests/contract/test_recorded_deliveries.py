"""Publications, packs, joins and leaves recorded from every released version reach clients as they did.

A line of recorded/<version>/deliveries.jsonl is an AMQP message to gateways (``wire``), and what
clients are shown of it (``means``). Never change a line.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from warren_gateway.domain.client_info import announced_client
from warren_gateway.domain.json_pushes import json_publication
from warren_gateway.domain.publications import durable_publication, live_publication, packed_publication
from warren_history.domain.admission import Admission
from warren_history.domain.publications import NewPublication
from warren_shared.contracts.channels import channel_of, namespace_key, namespace_of, routing_key_of
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.pack import Packed, read_pack
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
    kind = DeliverType(wire["type"]) if wire["type"] else DeliverType.PUBLICATION
    if kind is DeliverType.PACK:
        return {"inside": [*shown_of_pack(b64decode(wire["base64"]))]}
    body, headers = wire["body"].encode(), wire["headers"]
    channel = channel_of(wire["routing_key"])
    if kind is not DeliverType.PUBLICATION:
        return {"channel": channel, kind.value: {"info": orjson.loads(announced_client(body))}}
    if wire["exchange"] != ExchangeName.DELIVER:
        return {"channel": channel, "pub": orjson.loads(json_publication(live_publication(body, headers, "json")))}
    epoch, publication = durable_publication(body, headers, "json")
    return {"channel": channel, "epoch": epoch, "pub": orjson.loads(json_publication(publication))}


def shown_of_pack(body: bytes) -> Iterator[dict[str, Any]]:
    for run in read_pack(body):
        for publication in run.publications():
            numbered = packed_publication(publication, "json")
            yield {"channel": channel_of(run.key), "epoch": run.epoch, "pub": orjson.loads(json_publication(numbered))}


def trace_of(publication: Packed) -> dict[str, str]:
    return {name: value for name, value in publication.headers.items() if name in {"traceparent", "tracestate"}}


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line['wire']['exchange']} {line['wire']['type']}")
def test_a_recorded_delivery_is_shown_as_it_was(line: dict[str, Any]) -> None:
    assert shown(line["wire"]) == line["means"]


@pytest.mark.parametrize("line", [line for line in LINES if "channel" in line["means"]])
def test_a_recorded_delivery_travelled_under_its_channels_key(line: dict[str, Any]) -> None:
    assert routing_key_of(line["means"]["channel"]) == line["wire"]["routing_key"]


PACKS = [line for line in LINES if line["wire"]["type"] == DeliverType.PACK]


@pytest.mark.parametrize("line", PACKS, ids=lambda line: line["wire"]["routing_key"])
def test_a_recorded_pack_travelled_under_the_key_of_its_channel_or_of_their_namespace(line: dict[str, Any]) -> None:
    channels = {inside["channel"] for inside in line["means"]["inside"]}
    keys = {routing_key_of(channel) for channel in channels} if len(channels) == 1 else set()

    assert line["wire"]["routing_key"] in keys | {namespace_key(namespace_of(channel)) for channel in channels}


def test_packs_of_a_channel_and_of_a_namespace_are_recorded() -> None:
    assert {line["wire"]["routing_key"] for line in PACKS} == {"chat.a", "_"}


def test_a_publication_in_a_recorded_pack_keeps_what_clients_are_not_shown() -> None:
    (line,) = [line for line in PACKS if line["wire"]["routing_key"] == "chat.a"]
    (run,) = read_pack(b64decode(line["wire"]["base64"]))
    for publication in run.publications():
        assert publication.message_id == "m1"
        assert trace_of(publication) == {
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "tracestate": "a=1",
        }


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
