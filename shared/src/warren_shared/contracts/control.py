"""What a backend may order of all gateways at once, over ``warren.control``.

Each names whom it is about by user, by client or by both; what is given must all hold. One that names
nobody is refused: nothing is ever meant for everybody because a field was left out.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, model_validator

from warren_shared.contracts.codes import MAX_CLOSE_REASON_BYTES, Disconnect, Disconnects
from warren_shared.contracts.envelope import Message

_REASONS: Final = {each.code: each.reason for each in vars(Disconnects).values() if isinstance(each, Disconnect)}


def _fits_a_close(reason: str) -> str:
    if len(reason.encode(errors="surrogatepass")) > MAX_CLOSE_REASON_BYTES:
        raise ValueError(f"more than {MAX_CLOSE_REASON_BYTES} bytes")
    return reason


class _Order(Message):
    user: str | None = None
    """All connections of this user."""
    client: str | None = None
    """The connection with this client id."""
    session: str | None = None
    """Of those only the one with this session id, as its connect reply said it."""

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not self.user and not self.client:
            raise ValueError("names neither a user nor a client")
        if "" in (self.user, self.client, self.session):
            raise ValueError("has an empty user, client or session")
        return self


class DisconnectOrder(_Order):
    """Close connections. Control ``user.disconnect``."""

    type_name = "control.disconnect"

    whitelist: tuple[str, ...] = ()
    """Client ids of connections that stay."""
    code: int = Field(Disconnects.FORCE_DISCONNECT.code, ge=3000, le=4999)
    """The close code; its range says whether an SDK comes back."""
    reason: Annotated[str | None, AfterValidator(lambda text: text and _fits_a_close(text))] = None
    """For the client, at most 123 bytes; if left out, what the client protocol says of the code."""

    @property
    def disconnect(self) -> Disconnect:
        """What the client is told."""
        reason = _REASONS.get(self.code, "disconnect") if self.reason is None else self.reason
        return Disconnect(self.code, reason)


class UnsubscribeOrder(_Order):
    """End the subscription to a channel. Control ``user.unsubscribe``."""

    type_name = "control.unsubscribe"

    channel: str = Field(min_length=1)


class RefreshOrder(_Order):
    """Change when connections expire, or their info. Control ``user.refresh``."""

    type_name = "control.refresh"

    expired: bool = False
    """Whether they have expired: they are closed with 3005, and SDKs connect anew."""
    expire_at: float | None = Field(None, ge=0, allow_inf_nan=False)
    """Unix seconds at which they expire from now on; None: as before."""
    info: Any = None
    """The user's connection info from now on, any JSON; None: as before."""


class SubscribeOrder(_Order):
    """Subscribe to a channel as the server does it. Control ``user.subscribe``."""

    type_name = "control.subscribe"

    channel: str = Field(min_length=1)
    info: Any = None
    """The user's info in the channel, any JSON, as a subscription token's; None: none."""
    data: Any = None
    """For the client, with the push that tells of the subscription, any JSON; None: none."""


MAX_ORDER_BYTES: Final = 65_536
"""Of an order's body; a whitelist of a thousand and more fits."""

Order = DisconnectOrder | UnsubscribeOrder | RefreshOrder | SubscribeOrder
ORDERS: Final = (DisconnectOrder, UnsubscribeOrder, RefreshOrder, SubscribeOrder)
