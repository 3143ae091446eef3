"""How a message between services is written and read.

Every message is one JSON object with a ``type`` and a version ``v``. Contracts only grow: a reader
ignores fields it does not know, and a field added later has a default, so old and new services
understand one another. A field at its default is not written, so a default never changes. A value
that may be joined by others (an enum) says what a reader does with one it does not know; the message
around it stays readable. ``v`` changes only where all that is impossible; a reader refuses a newer one.
"""

from __future__ import annotations

from typing import ClassVar, Self, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError


class ContractError(ValueError):
    """The bytes are no message this service understands; the message says why in one line."""


class UnknownMessageError(ContractError):
    """The message's type, or its version, is not known here."""


class Message(BaseModel):
    """Base of every message between services."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type_name: ClassVar[str]
    """The message's ``type``, unique among all contracts."""
    contract_version: ClassVar[int] = 1
    """The highest ``v`` this code understands."""
    written_version: ClassVar[int] = 1
    """The ``v`` this code writes; raised a release after ``contract_version``, when no older reader is left."""

    def encode(self) -> bytes:
        """Return the message's bytes; fields at their default are left out."""
        fields = self.model_dump(mode="json", exclude_defaults=True)
        return orjson.dumps({"type": self.type_name, "v": self.written_version, **fields})

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a message of exactly this type. Raises ContractError."""
        return decode_one_of(body, cls)


AnyMessage = TypeVar("AnyMessage", bound=Message)


def decode_one_of(body: bytes, *types: type[AnyMessage]) -> AnyMessage:
    """Read a message that is one of ``types``.

    Raises UnknownMessageError for another type or a newer version, ContractError for anything else
    that cannot be read. Never raises anything else.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ContractError(f"message is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ContractError("message is no JSON object")
    name, version = document.get("type"), document.get("v", 1)
    model = next((known for known in types if known.type_name == name), None)
    if model is None:
        raise UnknownMessageError(f"message type {str(name)[:64]!r} is not known here")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= model.contract_version:
        raise UnknownMessageError(f"version {str(version)[:16]} of {name} is not known here")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        told = f"{where}: {first['msg']}" if where else first["msg"]
        raise ContractError(f"{name}: {told}") from error
