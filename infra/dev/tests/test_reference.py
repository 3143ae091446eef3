"""The generated reference: complete, consistent with the broker's permissions, and checked for drift."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, Field

from warren_dev.reference.__main__ import main
from warren_dev.reference.asyncapi import asyncapi, asyncapi_yaml
from warren_dev.reference.discovery import field_notes, message_types, shared_metrics
from warren_dev.reference.markdown import cell, prose, table
from warren_dev.reference.publications import HEADER_MEANINGS
from warren_dev.reference.routes import CHANNEL_KEY, DEFAULT_EXCHANGE, ROUTES, Route, answered_by, routes_of
from warren_dev.reference.schemas import type_text
from warren_dev.reference.settings import variables
from warren_shared.contracts.publication import Header
from warren_shared.topology.access import ACCESS, BACKEND_USER, Access, TopicAccess
from warren_shared.topology.catalogue import ExchangeName, topology
from warren_shared.topology.declarations import ExchangeType

TOPICS = {exchange.name for exchange in topology().exchanges if exchange.type is ExchangeType.TOPIC}


def access_of(service: str) -> Access:
    # Operators use history's command line, and with it history's user.
    user = {BACKEND_USER: BACKEND_USER, "operators": "warren-history", "backends": BACKEND_USER}.get(
        service, f"warren-{service}"
    )
    return next(access for access in ACCESS if access.user == user)


def topic_access(access: Access, exchange: str) -> TopicAccess:
    return next(topic for topic in access.topics if topic.exchange == exchange)


def example_key(route: Route) -> str:
    return route.key.replace(CHANNEL_KEY, "chat.room").replace("{id}", "gw-1").replace("{n}", "0")


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: Any, reference: str) -> Any:
    node = document
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_every_message_is_sent_by_somebody() -> None:
    homeless = [model.type_name for model in message_types() if not routes_of(model) and not answered_by(model)]

    assert homeless == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.message.type_name} {route.key}")
def test_the_broker_lets_the_sender_publish_on_the_documented_way(route: Route) -> None:
    access = access_of(route.sender)

    # RabbitMQ checks the default exchange under the name amq.default.
    assert re.search(access.write, route.exchange or "amq.default")
    if route.exchange in TOPICS:
        assert re.search(topic_access(access, route.exchange).write, example_key(route))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.message.type_name} {route.key}")
def test_the_receiver_may_consume_what_the_exchange_leads_to(route: Route) -> None:
    access = access_of(route.receiver)
    queues = [binding.destination for binding in topology().bindings if binding.source == route.exchange]

    if route.exchange == DEFAULT_EXCHANGE:  # the key is the queue
        assert example_key(route) in {queue.name for queue in topology().queues}
        assert re.search(access.read, example_key(route))
    elif route.exchange == ExchangeName.CONTROL or route.receiver in (
        "backends",
        "api",
    ):  # bound to queues of their own
        assert re.search(topic_access(access, route.exchange).read, example_key(route))
    else:
        assert any(re.search(access.read, queue) for queue in queues)


def test_every_header_of_a_publication_is_explained() -> None:
    assert set(HEADER_MEANINGS) == set(Header)


def test_every_reference_of_the_asyncapi_document_resolves() -> None:
    document = asyncapi()

    for reference in references(document):
        assert resolve(document, reference), reference


def test_every_message_is_in_the_asyncapi_document() -> None:
    document = yaml.safe_load(asyncapi_yaml())

    named = {message["name"] for message in document["components"]["messages"].values()}
    assert {model.type_name for model in message_types()} <= named


def test_every_operation_of_the_asyncapi_document_uses_messages_of_its_channel() -> None:
    for name, operation in asyncapi()["operations"].items():
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"]), name


def test_a_field_is_explained_by_its_description_or_the_string_below_it() -> None:
    class Base(BaseModel):
        inherited: int = 0
        """Inherited."""

    class Model(Base):
        described: int = Field(0, description="Described.")
        written: int = 0
        """Written
        on two lines."""
        bare: int = 0

    assert field_notes(Model) == {
        "inherited": "Inherited.",
        "described": "Described.",
        "written": "Written\non two lines.",
    }


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"$ref": "#/components/schemas/Grant"}, "Grant"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "array", "items": {"type": "integer"}}, "array of integer"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object of string"),
        ({"enum": ["a", "b"], "type": "string"}, '"a" or "b"'),
        ({}, "any"),
    ],
)
def test_a_type_is_told_in_a_few_words(schema: dict[str, Any], text: str) -> None:
    assert type_text(schema) == text


def test_placeholders_survive_as_text_and_code_is_left_alone() -> None:
    assert prose("Under <owner>.<method>, or ``<code>``.") == "Under &lt;owner>.&lt;method>, or `<code>`."


def test_a_cell_keeps_a_row_whole() -> None:
    assert cell("a |\n b") == "a \\| b"


def test_a_row_with_too_few_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        table(["a", "b"], [["1"]])


def test_metrics_of_the_plumbing_are_found_in_every_module() -> None:
    names = {spec.name for spec in shared_metrics()}

    assert {"warren_broker_connected", "warren_namespace_reloads"} <= names


def test_settings_are_known_by_both_of_their_names() -> None:
    assert {"WARREN_AMQP_URL", "WARREN_GATEWAY_AMQP_URL", "WARREN_GATEWAY_PORT"} <= variables()
    assert "WARREN_PORT" not in variables()


def test_what_was_written_is_up_to_date_until_it_is_edited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    assert main(["--root", str(tmp_path), "--check"]) == 1
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--root", str(tmp_path), "--check"]) == 0

    page = tmp_path / "docs/reference/messages.md"
    page.write_text(page.read_text("utf-8").replace("auth.connect", "auth.conect"), "utf-8")
    capsys.readouterr()

    assert main(["--root", str(tmp_path), "--check"]) == 1
    assert (
        capsys.readouterr().err == "reference: docs/reference/messages.md is not what the code says: run `make docs`\n"
    )


def test_a_folder_that_is_not_the_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--root", str(tmp_path)])
    assert not any(tmp_path.iterdir())
