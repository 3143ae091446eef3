"""Contracts only grow: messages recorded from every released version can still be read, and mean the same.

A line of recorded/<version>/messages.jsonl is a message as that version wrote it (``wire``), and all
it says (``means``). Never change a line; a new version adds a folder
(``python tests/contract/record.py VERSION``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from warren_dev.reference.discovery import contract_words, message_types
from warren_dev.reference.schemas import nested_models
from warren_shared.contracts.envelope import Message, decode_one_of
from warren_shared.contracts.publication import DeliverType, Header
from warren_shared.contracts.rpc import CallHeader

RECORDED = Path(__file__).parent / "recorded"
MODELS: list[type[BaseModel]] = [*message_types(), *nested_models(message_types())]
FIELDS = {(model.__name__, name) for model in MODELS for name in model.model_fields}
DEFAULTS = {
    (model.__name__, name) for model in MODELS for name, field in model.model_fields.items() if not field.is_required()
}


def recorded(name: str) -> list[dict[str, Any]]:
    files = sorted(RECORDED.glob(f"*/{name}.jsonl"))
    return [orjson.loads(line) for file in files for line in file.read_bytes().splitlines()]


LINES = recorded("messages")
every_line = pytest.mark.parametrize("line", LINES, ids=[line["wire"]["type"] for line in LINES])


def read(wire: object) -> Message:
    return decode_one_of(orjson.dumps(wire), *message_types())


def holds(now: object, then: object) -> bool:
    """Whether ``now`` says all that ``then`` said; fields that were added since say more."""
    match now, then:
        case dict(), dict():
            return all(name in now and holds(now[name], value) for name, value in then.items())
        case list(), list():
            return len(now) == len(then) and all(map(holds, now, then))
    return now == then


def models_in(value: object) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from models_in(getattr(value, name))
    elif isinstance(value, tuple):
        for each in value:
            yield from models_in(each)


def words_in(value: object) -> Iterator[Enum]:
    if isinstance(value, Enum):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from words_in(getattr(value, name))
    elif isinstance(value, tuple | frozenset):
        for each in value:
            yield from words_in(each)


def recorded_fields(said: Callable[[object, object], bool]) -> set[tuple[str, str]]:
    """Return the fields of which ``said(value, default)`` holds in a recorded message."""
    return {
        (type(model).__name__, name)
        for line in LINES
        for model in models_in(read(line["wire"]))
        for name, field in type(model).model_fields.items()
        if said(getattr(model, name), field.get_default(call_default_factory=True, validated_data={}))
    }


@every_line
def test_a_recorded_message_means_what_it_meant(line: dict[str, Any]) -> None:
    assert holds(read(line["wire"]).model_dump(mode="json"), line["means"])


@every_line
def test_a_recorded_message_is_written_as_it_was(line: dict[str, Any]) -> None:
    """A reader of the version that recorded it finds all it knows, unless it is told that it does not."""
    message, then = read(line["wire"]), line["wire"]

    assert message.written_version > then["v"] or holds(orjson.loads(message.encode()), then)


def test_every_field_of_every_message_is_recorded_with_something_to_say() -> None:
    assert FIELDS - recorded_fields(lambda value, default: value != default) == set()


def test_every_default_is_recorded() -> None:
    assert DEFAULTS - recorded_fields(lambda value, default: value == default) == set()


def test_every_message_type_is_recorded() -> None:
    assert {line["wire"]["type"] for line in LINES} == {model.type_name for model in message_types()}


def test_every_word_of_the_contracts_is_recorded() -> None:
    sent = [line["wire"] for line in recorded("deliveries")]
    seen: set[Enum] = {word for line in LINES for word in words_in(read(line["wire"]))}
    seen |= {DeliverType(wire["type"]) for wire in sent if wire["type"] and wire["exchange"] == "warren.deliver"}
    seen |= {header for header in Header for wire in sent if header.value in wire["headers"]}
    said = [line.get("call") or line["answer"] for line in recorded("calls")]
    seen |= {header for header in CallHeader for wire in said if header.value in wire["headers"]}

    assert {word for words in contract_words() for word in words} - seen == set()


def unknown_words(node: Any) -> Iterator[Any]:
    """Yield copies of ``node``, each with another word replaced by one that is not known here."""
    known = {word.value for words in contract_words() for word in words}
    match node:
        case str() if node in known:
            yield "invented_later"
        case dict():
            for name, value in node.items():
                yield from ({**node, name: changed} for changed in unknown_words(value))
        case list():
            for place, value in enumerate(node):
                yield from ([*node[:place], changed, *node[place + 1 :]] for changed in unknown_words(value))


@every_line
def test_a_word_that_is_added_later_leaves_the_message_readable(line: dict[str, Any]) -> None:
    for wire in unknown_words({name: value for name, value in line["wire"].items() if name != "type"}):
        read({**wire, "type": line["wire"]["type"]})


def test_there_are_messages_with_words_that_may_be_joined_by_others() -> None:
    admitted = [line["wire"] for line in LINES if line["wire"]["type"] == "auth.admitted"]

    assert len([each for wire in admitted for each in unknown_words(wire)]) > len(contract_words())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_fields_that_are_added_later_are_ignored_at_any_depth(model: type[BaseModel]) -> None:
    assert model.model_config.get("extra") == "ignore"


@pytest.mark.parametrize("model", message_types(), ids=lambda model: model.type_name)
def test_no_field_hides_the_envelope_and_nothing_is_written_that_is_not_understood(model: type[Message]) -> None:
    assert {"type", "v"}.isdisjoint(model.model_fields)
    assert 1 <= model.written_version <= model.contract_version


def test_type_names_are_unique() -> None:
    names = [model.type_name for model in MODELS if issubclass(model, Message)]

    assert len(names) == len(set(names))
