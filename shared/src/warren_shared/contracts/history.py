"""What history is asked over ``warren.rpc``: reads by gateways, removals by operators."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from warren_shared.contracts.envelope import Message


class ReadRequest(Message):
    """Read a channel's stream. Sent to ``history.read``."""

    type_name = "history.read"

    channel: str
    limit: int = Field(0, ge=-1)
    """How many publications at most; 0 asks for the position alone, -1 for all there are."""
    since_offset: int | None = Field(None, ge=0)
    """Read after this offset (with ``reverse``: before it); None reads from the stream's start (end)."""
    reverse: bool = False


class StoredPublication(BaseModel):
    """One stored publication."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    offset: int
    data: str
    """The payload: JSON text as it was published, or base64 where ``binary``."""
    binary: bool = False
    info: str | None = None
    """The publisher's ClientInfo as JSON text."""
    tags: dict[str, str] = Field(default_factory=dict)
    time: int = 0
    """Unix milliseconds at which it was stored."""


class Page(Message):
    """The answer to a read: consistent with itself, as of one moment."""

    type_name = "history.page"

    epoch: str
    top: int
    """The stream's newest offset; 0 for an empty stream."""
    publications: tuple[StoredPublication, ...] = ()


class RemoveRequest(Message):
    """Remove what is stored of a channel. Sent to ``history.remove``.

    The stream's epoch and top stay as they are: the next publication has the next offset, who is at the top
    has missed nothing, and who is before it is not recovered. What is published meanwhile may stay.
    """

    type_name = "history.remove"

    channel: str


class Removed(Message):
    """The answer to a removal: none of what was stored when it was asked for can be read any more."""

    type_name = "history.removed"

    publications: int
    """How many there were."""
