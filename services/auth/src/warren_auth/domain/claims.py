"""Connection token claims: which there are, and what makes them unusable."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_INFO_DEPTH: Final = 32
"""Levels of nesting in ``info``: it travels through parsers of every client."""
MAX_USER_LENGTH: Final = 255
SUBSCRIPTION_CLAIM: Final = "channel"
"""Only subscription tokens have it. One must never be taken for a connection token."""

_Timestamp = Annotated[float, Field(allow_inf_nan=False)]


class ClaimsError(ValueError):
    """The claims are unusable; the message names the claim and never quotes its value."""


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    sub: Annotated[str, Field(max_length=MAX_USER_LENGTH)] | None = None
    exp: _Timestamp | None = None
    nbf: _Timestamp | None = None
    iat: _Timestamp | None = None
    jti: str | None = None
    aud: str | list[str] | None = None
    iss: str | None = None
    info: object = None
    b64info: str | None = None
    channels: list[str] | None = None
    expire_at: _Timestamp | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a connection token says, in usable form. Times are Unix seconds."""

    user: str
    """Empty for an anonymous user."""
    expires: float | None
    """When the token ends."""
    not_before: float | None
    audience: frozenset[str]
    issuer: str | None
    info: str | None
    """JSON text."""
    channels: tuple[str, ...]
    """Without repetitions, in the token's order; not yet checked."""
    connection_expires: float | None
    """When the connection ends: ``expire_at`` if the token has one (0 or less: never), else ``exp``."""


def read_claims(payload: bytes) -> Claims:
    """Read a token's payload, whose signature has been verified. Raises ClaimsError."""
    document = _document(payload)
    if SUBSCRIPTION_CLAIM in document:
        raise ClaimsError(f"has a {SUBSCRIPTION_CLAIM!r} claim: it is a subscription token")
    try:
        claims = _Claims.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise ClaimsError(f"claim {first['loc'][0]!r} is invalid") from None
    audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud or []
    return Claims(
        user=claims.sub or "",
        expires=claims.exp,
        not_before=claims.nbf,
        audience=frozenset(audience),
        issuer=claims.iss,
        info=_info(claims),
        channels=tuple(dict.fromkeys(claims.channels or ())),
        connection_expires=_connection_expires(claims),
    )


def _document(payload: bytes) -> Mapping[str, object]:
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise ClaimsError("payload is no JSON") from None
    if not isinstance(document, dict):
        raise ClaimsError("payload is no JSON object")
    return document


def _connection_expires(claims: _Claims) -> float | None:
    if claims.expire_at is None:
        return claims.exp
    return claims.expire_at if claims.expire_at > 0 else None


def _info(claims: _Claims) -> str | None:
    """Return the connection info as JSON text; ``b64info`` goes before ``info``."""
    document = claims.info
    if claims.b64info:
        try:
            document = orjson.loads(b64decode(claims.b64info, validate=True))
        except (binascii.Error, ValueError):
            raise ClaimsError("claim 'b64info' is no JSON in base64") from None
    if document is None:
        return None
    if _deeper_than(document, MAX_INFO_DEPTH):
        raise ClaimsError(f"info is nested deeper than {MAX_INFO_DEPTH} levels")
    return orjson.dumps(document).decode()


def _deeper_than(document: object, limit: int) -> bool:
    level: list[object] = [document]
    for _ in range(limit + 1):
        inner: list[object] = []
        for node in level:
            if isinstance(node, dict):
                inner.extend(node.values())
            elif isinstance(node, list):
                inner.extend(node)
        if not inner:
            return False
        level = inner
    return True
