"""What gateways ask auth over ``warren.rpc``, and the grants it answers with."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_serializer

from warren_shared.contracts.envelope import Message


class Operation(StrEnum):
    """What a grant allows. ``*_if_subscribed`` holds only while subscribed to the channel.

    A reader leaves out operations it does not know: the grant allows less there, never more.
    """

    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    PUBLISH_IF_SUBSCRIBED = "publish_if_subscribed"
    PRESENCE = "presence"
    PRESENCE_IF_SUBSCRIBED = "presence_if_subscribed"
    HISTORY = "history"
    HISTORY_IF_SUBSCRIBED = "history_if_subscribed"
    RPC = "rpc"  # calling methods whose name begins with the namespace's


class GrantScope(StrEnum):
    """Which channels a grant speaks of.

    A reader leaves out a grant whose scope it does not know: its client may do less there, never more.
    """

    NAMESPACE = "namespace"  # every channel of the namespace, except user-limited and private ($) ones
    USER_LIMITED = "user_limited"  # those of the namespace that name the user after '#'
    CHANNEL = "channel"  # exactly one channel


def _known_operations(operations: object) -> object:
    if not isinstance(operations, list):
        return operations
    return [each for each in operations if not _is_unknown(each, Operation)]


def _of_known_scope(grants: object) -> object:
    if not isinstance(grants, list):
        return grants
    return [each for each in grants if not (isinstance(each, dict) and _is_unknown(each.get("scope"), GrantScope))]


def _is_unknown(word: object, words: type[StrEnum]) -> bool:
    """Whether a later version may have written it; what is no word at all is a mistake."""
    return isinstance(word, str) and word not in words.__members__.values()


class Grant(BaseModel):
    """One compiled permission. Policy is decided in auth; the gateway only matches it.

    A field added later must not narrow a grant, because older readers ignore it and would allow too
    much: a narrower grant is one of a new scope.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    scope: GrantScope
    target: str
    """The namespace's name (``""``: channels without one) or, for scope CHANNEL, the channel."""
    operations: Annotated[frozenset[Operation], BeforeValidator(_known_operations)]

    @field_serializer("operations")
    def _in_order(self, operations: frozenset[Operation]) -> list[Operation]:
        """A set has another order in every process; equal grants are written alike."""
        return sorted(operations)


class ConnectRequest(Message):
    """A client asks to be let in. Sent to ``auth.connect``."""

    type_name = "auth.connect"

    client: str
    """The connection's id, made by the gateway."""
    token: str = ""
    name: str = ""
    version: str = ""


class RefreshRequest(Message):
    """A connected client brings a new token. Sent to ``auth.refresh``."""

    type_name = "auth.refresh"

    client: str
    user: str
    """Who the connection belongs to; the token must name the same user."""
    token: str


class SubscribeRequest(Message):
    """A client brings a token for one channel. Sent to ``auth.subscribe``."""

    type_name = "auth.subscribe"

    client: str
    user: str
    """Who the connection belongs to; the token must name the same user."""
    channel: str
    """The token must name the same channel."""
    token: str


class SubRefreshRequest(Message):
    """A subscribed client brings a new token for the channel. Sent to ``auth.sub_refresh``."""

    type_name = "auth.sub_refresh"

    client: str
    user: str
    channel: str
    token: str


class Allowed(Message):
    """The client may be subscribed to the channel, on these terms."""

    type_name = "auth.allowed"

    info: str | None = None
    """The user's info in this channel as JSON text."""
    data: str | None = None
    """What the client is told with the subscription, as JSON text."""
    expire_at: float | None = None
    """Unix seconds at which the subscription ends unless it is refreshed."""
    grants: Annotated[tuple[Grant, ...], BeforeValidator(_of_known_scope)] = ()
    """What the client may do on the channel while it is subscribed, besides what it may anyhow."""


class Admitted(Message):
    """The client is who it says, and this is what it may do."""

    type_name = "auth.admitted"

    user: str = ""
    """Empty for an anonymous user."""
    info: str | None = None
    """The user's connection info as JSON text."""
    expire_at: float | None = None
    """Unix seconds at which the connection ends unless it is refreshed."""
    channels: tuple[str, ...] = ()
    """Channels the connection is subscribed to by the server."""
    grants: Annotated[tuple[Grant, ...], BeforeValidator(_of_known_scope)] = ()


class Refused(Message):
    """The client is not let in, or not to a channel: by an error reply (``disconnect`` false) or a close."""

    type_name = "auth.refused"

    code: int
    reason: str
    temporary: bool = False
    disconnect: bool = False
    detail: str = Field("", description="For the log, never for the client.")
