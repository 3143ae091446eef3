"""The requests of the API's methods, as HTTP clients of Centrifugo's server API write them.

Unknown fields are ignored, as everywhere in Warren. Payloads stay the very bytes that were sent: they are not
read into numbers and back.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from warren_api.domain.rejection import RejectionError
from warren_shared.contracts.codes import Errors

MOST_CHANNELS: Final = 1_000
"""Of a broadcast."""
MOST_COMMANDS: Final = 1_000
"""Of a batch."""

Channel = Annotated[str, Meta(min_length=1, max_length=255, description="The channel.")]
_User = Annotated[str, Meta(max_length=255, description="The user's id.")]
_Client = Annotated[str | None, Meta(description="Only the connection with this client id.")]
_Session = Annotated[str | None, Meta(description="Only the connection with this session id.")]
_Data = Annotated[Raw, Meta(description="The payload: any JSON.")]
_B64Data = Annotated[str | None, Meta(description="The payload in base64, in place of data.")]
_SkipHistory = Annotated[bool | None, Meta(description="Refused on namespaces with history.")]
_Tags = Annotated[dict[str, str] | None, Meta(description="Tags of the publication.")]
_IdempotencyKey = Annotated[
    Annotated[str, Meta(max_length=255)] | None,
    Meta(description="Publications of a channel with the same key are stored once."),
]


class StreamPosition(Struct):
    """A place in a channel's stream."""

    offset: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    epoch: str = ""


class Disconnect(Struct):
    """What a client is told as it is disconnected."""

    code: Annotated[int, Meta(ge=3000, le=4999)]
    reason: str = ""


class PublishRequest(Struct):
    """Publish to a channel."""

    channel: Channel
    data: _Data = field(default_factory=Raw)
    b64data: _B64Data = None
    skip_history: _SkipHistory = None
    tags: _Tags = None
    idempotency_key: _IdempotencyKey = None


class BroadcastRequest(Struct):
    """Publish the same to several channels."""

    channels: Annotated[list[Channel], Meta(min_length=1, max_length=MOST_CHANNELS)]
    data: _Data = field(default_factory=Raw)
    b64data: _B64Data = None
    skip_history: _SkipHistory = None
    tags: _Tags = None
    idempotency_key: _IdempotencyKey = None

    def publish_requests(self) -> list[PublishRequest]:
        """Return what it stands for, in the order of the channels."""
        return [
            PublishRequest(channel, self.data, self.b64data, self.skip_history, self.tags, self.idempotency_key)
            for channel in self.channels
        ]


class SubscribeRequest(Struct):
    """Subscribe a user's connections to a channel, on the server's side."""

    user: _User
    channel: Channel
    client: _Client = None
    session: _Session = None
    info: Raw = field(default_factory=Raw)
    b64info: str | None = None
    data: Raw = field(default_factory=Raw)
    b64data: str | None = None
    recover_since: StreamPosition | None = None
    override: dict[str, Raw] | None = None
    expire_at: int | None = None

    def unsupported(self) -> str | None:
        """Return the name of a field that is given and that Warren has no way to do, None if there is none."""
        for name in ("recover_since", "override", "expire_at"):
            if _given(getattr(self, name)):
                return name
        return None


class UnsubscribeRequest(Struct):
    """End the subscription of a user's connections to a channel."""

    user: _User
    channel: Channel
    client: _Client = None
    session: _Session = None


class DisconnectRequest(Struct):
    """Close a user's connections."""

    user: _User
    client: _Client = None
    session: _Session = None
    whitelist: list[str] | None = None
    disconnect: Disconnect | None = None


class RefreshRequest(Struct):
    """Change when a user's connections expire, or the user's info."""

    user: _User
    client: _Client = None
    session: _Session = None
    expired: bool | None = None
    expire_at: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    info: Raw = field(default_factory=Raw)


class PresenceRequest(Struct):
    """Ask who is in a channel."""

    channel: Channel


class PresenceStatsRequest(Struct):
    """Ask how many are in a channel."""

    channel: Channel


class HistoryRequest(Struct):
    """Read a channel's stream."""

    channel: Channel
    limit: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    since: StreamPosition | None = None
    reverse: bool | None = None


class HistoryRemoveRequest(Struct):
    """Remove what is stored of a channel."""

    channel: Channel


class InfoRequest(Struct):
    """Ask which gateways there are."""


class ChannelsRequest(Struct):
    """Ask which channels have subscribers."""

    pattern: str | None = None


class BatchRequest(Struct):
    """Several commands at once; each is an object with one member, a method's name and its request."""

    commands: Annotated[list[dict[str, Raw]], Meta(max_length=MOST_COMMANDS)]
    parallel: bool | None = None


AnyRequest = TypeVar("AnyRequest", bound=Struct)


def read_request(body: bytes | Raw, kind: type[AnyRequest]) -> AnyRequest:
    """Read one request. Raises RejectionError 107, which names what is wrong."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise RejectionError(Errors.BAD_REQUEST, " ".join(str(error).split())) from error


def _given(value: object) -> bool:
    return bytes(value) not in (b"", b"null") if isinstance(value, Raw) else value is not None
