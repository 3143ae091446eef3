"""The claims of connection and subscription tokens: which there are, and what makes them unusable."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_INFO_DEPTH: Final = 32
"""Levels of nesting in ``info`` and ``data``: they travel through parsers of every client."""
MAX_USER_LENGTH: Final = 255
SUBSCRIPTION_CLAIM: Final = "channel"
"""Only subscription tokens have it, and all of them. One must never be taken for the other."""

_Timestamp = Annotated[float, Field(allow_inf_nan=False)]


class ClaimsError(ValueError):
    """The claims are unusable; the message names the claim and never quotes its value."""


class _AnyClaims(BaseModel):
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
    expire_at: _Timestamp | None = None

    @property
    def audience(self) -> frozenset[str]:
        return frozenset([self.aud] if isinstance(self.aud, str) else self.aud or [])

    @property
    def until(self) -> float | None:
        """When what the token is for ends: ``expire_at`` if it has one (0 or less: never), else ``exp``."""
        if self.expire_at is None:
            return self.exp
        return self.expire_at if self.expire_at > 0 else None


class _Claims(_AnyClaims):
    channels: list[str] | None = None
    subs: dict[str, dict[str, object]] | None = None


class _SubscriptionClaims(_AnyClaims):
    channel: str
    data: object = None
    b64data: str | None = None
    override: dict[str, object] | None = None


C = TypeVar("C", bound=_AnyClaims)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyClaims:
    """What any token says, in usable form. Times are Unix seconds."""

    user: str
    """Empty for an anonymous user."""
    expires: float | None
    """When the token ends."""
    not_before: float | None
    audience: frozenset[str]
    issuer: str | None
    info: str | None
    """JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims(AnyClaims):
    """What a connection token says."""

    channels: tuple[str, ...]
    """Without repetitions, in the token's order; not yet checked."""
    connection_expires: float | None
    """When the connection ends: ``expire_at`` if the token has one (0 or less: never), else ``exp``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionClaims(AnyClaims):
    """What a subscription token says."""

    channel: str
    data: str | None
    """JSON text."""
    subscription_expires: float | None
    """When the subscription ends: ``expire_at`` if the token has one (0 or less: never), else ``exp``."""


def read_claims(payload: bytes) -> Claims:
    """Read a connection token's payload, whose signature has been verified. Raises ClaimsError."""
    document = _document(payload)
    if SUBSCRIPTION_CLAIM in document:
        raise ClaimsError(f"has a {SUBSCRIPTION_CLAIM!r} claim: it is a subscription token")
    claims = _validated(_Claims, document)
    return Claims(
        user=claims.sub or "",
        expires=claims.exp,
        not_before=claims.nbf,
        audience=claims.audience,
        issuer=claims.iss,
        info=_json_text("info", claims.info, claims.b64info),
        channels=tuple(dict.fromkeys((*(claims.channels or ()), *_plain_names(claims.subs or {})))),
        connection_expires=claims.until,
    )


def read_subscription_claims(payload: bytes) -> SubscriptionClaims:
    """Read a subscription token's payload, whose signature has been verified. Raises ClaimsError."""
    document = _document(payload)
    if SUBSCRIPTION_CLAIM not in document:
        raise ClaimsError(f"has no {SUBSCRIPTION_CLAIM!r} claim: it is no subscription token")
    claims = _validated(_SubscriptionClaims, document)
    if claims.override:
        raise ClaimsError("claim 'override' is not supported: options are the namespace's")
    return SubscriptionClaims(
        user=claims.sub or "",
        expires=claims.exp,
        not_before=claims.nbf,
        audience=claims.audience,
        issuer=claims.iss,
        info=_json_text("info", claims.info, claims.b64info),
        channel=claims.channel,
        data=_json_text("data", claims.data, claims.b64data),
        subscription_expires=claims.until,
    )


def _plain_names(subs: Mapping[str, Mapping[str, object]]) -> Iterable[str]:
    """Return the channels of ``subs``, which is ``channels`` with options for each. Options that would be ignored
    make the token unusable: its backend means them.
    """
    if any(subs.values()):
        raise ClaimsError("claim 'subs' has options, which are not supported: name the channels alone")
    return subs


def _validated(model: type[C], document: Mapping[str, object]) -> C:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise ClaimsError(f"claim {first['loc'][0]!r} is invalid") from None


def _document(payload: bytes) -> Mapping[str, object]:
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise ClaimsError("payload is no JSON") from None
    if not isinstance(document, dict):
        raise ClaimsError("payload is no JSON object")
    return document


def _json_text(name: str, document: object, in_base64: str | None) -> str | None:
    """Return a claim as JSON text; the one in base64 goes before the plain one."""
    if in_base64:
        try:
            document = orjson.loads(b64decode(in_base64, validate=True))
        except (binascii.Error, ValueError):
            raise ClaimsError(f"claim 'b64{name}' is no JSON in base64") from None
    if document is None:
        return None
    if _deeper_than(document, MAX_INFO_DEPTH):
        raise ClaimsError(f"{name} is nested deeper than {MAX_INFO_DEPTH} levels")
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
