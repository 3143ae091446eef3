"""Commands that come in requests of their own: to whom they belong, on this gateway or another one."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec
from google.protobuf.message import DecodeError

from warren_gateway.adapters.http_link import HttpLink
from warren_gateway.adapters.sessions import Sessions
from warren_gateway.domain.protobuf import client_pb2 as pb
from warren_gateway.domain.session_rates import SessionRates
from warren_shared.messaging.port import (
    BINARY,
    BindKey,
    BusError,
    Delivery,
    Inbox,
    Outgoing,
    Publisher,
    UnroutableError,
)
from warren_shared.topology.catalogue import SESSION_HEADER, ExchangeName, emulation_key

QUEUE_LENGTH: Final = 10_000
"""Messages the broker keeps for a gateway that does not keep up; beyond that it drops the oldest."""
_CONTROL: Final = ExchangeName.CONTROL.value
_GATEWAY_ID: Final = re.compile(r"[-_a-zA-Z0-9]{1,128}")
_LONGEST_SESSION: Final = 128


class Outcome(StrEnum):
    """What came of a client's message."""

    TAKEN = "taken"
    FORWARDED = "forwarded"
    NO_SESSION = "no_session"
    NO_GATEWAY = "no_gateway"
    FAILED = "failed"
    LIMITED = "limited"


@dataclass(frozen=True, slots=True)
class Emulated:
    """A message of a client, and where its connection is."""

    node: str
    session: str = field(repr=False)
    """The connection's secret."""
    message: bytes = field(repr=False)


class _Posted(msgspec.Struct):
    session: str
    node: str
    data: str


_decode: Final = msgspec.json.Decoder(_Posted).decode


def read_json(body: bytes) -> Emulated:
    """Read a request whose ``data`` is a string of commands, one a line. Raises ValueError."""
    try:
        posted = _decode(body)
        return Emulated(posted.node, posted.session, posted.data.encode())
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("is no emulation request") from error


def read_protobuf(body: bytes) -> Emulated:
    """Read an EmulationRequest. Raises ValueError."""
    try:
        posted = pb.EmulationRequest.FromString(body)
    except DecodeError as error:
        raise ValueError("is no emulation request") from error
    return Emulated(posted.node, posted.session, posted.data)


class Emulation:
    """Hands messages to connections of this gateway, and sends those of others over the bus.

    Messages of one client keep the order in which this gateway has them whole. Implements InboxListener, for
    what other gateways send.
    """

    def __init__(
        self,
        node: str,
        publisher: Publisher,
        rates: SessionRates,
        monotonic: Callable[[], float],
        *,
        publish_deadline: float,
        bind_deadline: float,
    ) -> None:
        """``rates``: how much may be sent through this gateway, to whichever one it goes."""
        self._rates, self._monotonic = rates, monotonic
        self._node, self._publisher = node, publisher
        self._publish_deadline, self._bind_deadline = publish_deadline, bind_deadline
        self.sessions: Sessions[HttpLink] = Sessions()
        self.counts: Counter[Outcome] = Counter()

    async def put(self, emulated: Emulated) -> Outcome:
        """Have a message taken, here or elsewhere. Where that failed it may have been; if refused, it was not."""
        outcome = await self._put(emulated)
        self.counts[outcome] += 1
        return outcome

    def on_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Take what other gateways send."""
        for delivery in deliveries:
            self.counts[self._take(str(delivery.headers.get(SESSION_HEADER, "")), delivery.body)] += 1

    async def on_open(self, inbox: Inbox) -> None:
        """Bind. Raises BusError, and then all begins anew."""
        keys: list[BindKey] = [(_CONTROL, emulation_key(self._node))]
        await inbox.bind(keys, deadline=self._bind_deadline)

    def on_lost(self) -> None:
        """Other gateways answer with what makes clients connect anew."""

    async def _put(self, emulated: Emulated) -> Outcome:
        if not _GATEWAY_ID.fullmatch(emulated.node):
            return Outcome.NO_GATEWAY
        if len(emulated.session) > _LONGEST_SESSION:
            return Outcome.NO_SESSION
        if not self._rates.admit(emulated.session, len(emulated.message), self._monotonic()):
            return Outcome.LIMITED
        if emulated.node == self._node:
            return self._take(emulated.session, emulated.message)
        return await self._forward(emulated)

    async def _forward(self, emulated: Emulated) -> Outcome:
        try:
            await self._publisher.publish(_outgoing(emulated), deadline=self._publish_deadline)
        except UnroutableError:
            return Outcome.NO_GATEWAY
        except BusError:
            return Outcome.FAILED
        return Outcome.FORWARDED

    def _take(self, session: str, message: bytes) -> Outcome:
        link = self.sessions.find(session)
        if link is None:
            return Outcome.NO_SESSION
        link.take(message)
        return Outcome.TAKEN


def _outgoing(emulated: Emulated) -> Outgoing:
    return Outgoing(
        _CONTROL,
        emulation_key(emulated.node),
        emulated.message,
        headers={SESSION_HEADER: emulated.session},
        content_type=BINARY,
        message_id=secrets.token_hex(16),
        mandatory=True,
    )
