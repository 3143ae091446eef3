"""One connection: performs what its session wants, and is what the fan-out writes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import assert_never

from warren_gateway.adapters.connections import Connections
from warren_gateway.adapters.link import GONE, Link, drop
from warren_gateway.domain.commands import Command, method_of
from warren_gateway.domain.effects import (
    AskConnect,
    AskHistory,
    AskPresence,
    AskPresenceStats,
    AskPublish,
    AskRefresh,
    AskRpc,
    AskSubRefresh,
    AskSubscribe,
    Close,
    Effect,
    EndSubscription,
    Identify,
    PingTransport,
    RefuseOrder,
    Send,
    StartSubscription,
    Tell,
    WakeAt,
)
from warren_gateway.domain.encoding import Encoding, UndecodableError, UnencodableError
from warren_gateway.domain.events import (
    CloseRequested,
    CommandReceived,
    Event,
    GarbageReceived,
    Opened,
    SubscribeAnswered,
    SubscriptionEnded,
    TimeElapsed,
    TransportClosed,
)
from warren_gateway.domain.replies import ConnectReply, ErrorReply, Reply
from warren_gateway.domain.requests import Subscribed
from warren_gateway.domain.session import Session
from warren_gateway.domain.timers import UNSCHEDULED
from warren_gateway.ports import Framing
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Unsubscribe


class Connection:
    """Between a session and its link. A Subscriber of the gateway's ports."""

    __slots__ = (
        "_commands",
        "_encoding",
        "_held",
        "_link",
        "_outbox",
        "_promised",
        "_session",
        "_slot",
        "_within",
        "client",
        "framing",
        "session",
        "user",
        "write",
    )

    def __init__(
        self,
        client: str,
        framing: Framing,
        link: Link,
        within: Connections,
        *,
        frame_pings: bool = False,
        unidirectional: bool = False,
    ) -> None:
        self.client, self.framing = client, framing
        self.user = self.session = ""
        self._encoding: Encoding = framing.encoding
        self.write: Callable[[bytes], None] = self._hold
        """The transport's own write from the connect reply on, so that a delivery costs no call here."""
        self._link, self._within = link, within
        rules = within.rules_of(frame_pings=frame_pings, unidirectional=unidirectional)
        self._session = Session(client, rules)
        self._commands: Iterator[Command] | None = None
        """What is left of a message whose commands cannot all be taken yet."""
        self._held: bytearray | None = None
        """What the fan-out wrote before the connect reply."""
        self._outbox: list[bytes] | None = None
        """Replies that will be framed together; None where each is written at once."""
        self._promised = 0
        """Bytes of recovered publications in replies that are not written yet."""
        self._slot = UNSCHEDULED

    def open(self, traceparent: str | None) -> None:
        """Begin; to be called once, first."""
        self._within.add(self)
        self._feed(Opened(traceparent))

    @property
    def room(self) -> int:
        """Bytes of recovered publications that the reply to a subscribe may bring now."""
        return self._within.limits.replies - self._promised - self._link.waiting

    @property
    def behind(self) -> bool:
        """Whether commands of the message in hand are still to be taken."""
        return self._commands is not None

    @property
    def ready(self) -> bool:
        """Whether a message may be received now; when it may again, the link's ``resume`` is called."""
        return self._commands is None and self._session.accepting

    @property
    def takes(self) -> bool:
        """Whether ``take`` would take something now; when it would again, the link's ``resume`` is called."""
        return self._commands is not None and self._session.accepting

    def receive(self, message: bytes) -> None:
        """Have a client's message in hand, to ``take`` its commands. Must be ``ready``."""
        self._commands = self._encoding.decode(message)

    def take(self, at_most: int) -> int:
        """Take commands of the message in hand, in order and as far as they may be taken now; their
        replies leave together. Return how many, never more than ``at_most``.
        """
        if self._commands is None:
            return 0
        self._outbox = []
        taken = 0
        while taken < at_most and self._commands is not None and self._session.accepting:
            self._take_command(self._commands)
            taken += 1
        self._flush()
        return taken

    def feed(self, event: Event) -> None:
        """Take anything else that happened, unless the connection is over."""
        if not self._session.closed:
            self._feed(event)
            if self._session.accepting:
                self._link.resume()

    def unsubscribed(self, channel: str, reason: Unsubscribe) -> None:
        """Tell the client that its subscription ended; it is out of the fan-out already."""
        self.feed(SubscriptionEnded(channel, reason))

    def cut_off(self, reason: Disconnect) -> None:
        """Close; what is published on one of the client's channels cannot be shown to it."""
        self.feed(CloseRequested(reason))

    def overflowed(self) -> None:
        """Too much waits to be read by the client. Closes in the next loop turn, not in the midst
        of a pass of the fan-out, which called this by writing.
        """
        self.write = drop
        self._within.call_soon(partial(self.feed, CloseRequested(Disconnects.SLOW)))

    def wake(self) -> None:
        """The time asked for has come."""
        self._slot = UNSCHEDULED
        if self._session.closed:
            self._within.counters.cut += 1
            self.cut()
        else:
            self.feed(TimeElapsed(draining=self._link.draining))

    def cut(self) -> None:
        """End the connection without a word."""
        self._link.abort()

    def leaving(self) -> None:
        """The client goes. What is still to be written has a deadline."""
        self.write = drop
        if not self._session.closed:
            self._feed(TransportClosed())
            self._give_time_to_close()

    def lost(self) -> None:
        """The transport is gone."""
        self.leaving()
        self._commands = self._held = None
        self._link = GONE  # no cycle is left for the garbage collector to find
        self._unschedule()
        self._within.remove(self)

    def _feed(self, event: Event) -> None:
        for effect in self._session.feed(event, self._within.monotonic()):
            try:
                self._perform(effect)
            except UnencodableError as error:
                self._within.log.reply_not_encoded(self.client, str(error))
                if not self._session.closed:
                    # The client would wait for ever. What else was to be done is undone by the close.
                    self._feed(CloseRequested(error.disconnect))
                    return

    def _take_command(self, commands: Iterator[Command]) -> None:
        try:
            command = next(commands, None)
        except UndecodableError:
            self._commands = None
            self._feed(GarbageReceived())
            return
        if command is None:
            self._commands = None
            return
        self._within.counters.commands[method_of(command.request)] += 1
        self._feed(CommandReceived(command))

    def _perform(self, effect: Effect) -> None:  # noqa: C901 - one case for each effect
        match effect:
            case Send(reply):
                self._send(reply)
            case PingTransport():
                self._link.ping()
            case StartSubscription(request):
                # A subscription that failed at once may have closed the session meanwhile.
                if not self._session.closed:
                    self._within.channels.subscribe(request, self, partial(self._answered, request.channel))
            case EndSubscription(channel):
                self._within.channels.unsubscribe(channel, self)
            case Identify(user):
                self.user = user
                self._within.identify(self)
            case RefuseOrder(error):
                self._within.counters.orders_refused += 1
                self._within.log.order_refused(self.client, error)
            case Tell(what):
                self._within.asking.tell(what)
            case WakeAt(time):
                self._unschedule()
                self._slot = self._within.wheel.schedule(self, time)
            case Close(disconnect):
                self._close(disconnect)
            case (
                AskConnect()
                | AskRefresh()
                | AskPublish()
                | AskPresence()
                | AskPresenceStats()
                | AskHistory()
                | AskRpc()
                | AskSubscribe()
                | AskSubRefresh()
            ):
                self._within.asking.ask(effect, self.feed)
            case _:
                assert_never(effect)

    def _answered(self, channel: str, answer: Subscribed | ErrorCode) -> None:
        if isinstance(answer, Subscribed):
            self._promised += sum(map(len, answer.publications))
        self.feed(SubscribeAnswered(channel, answer))

    def _send(self, reply: Reply) -> None:
        if isinstance(reply, ErrorReply):
            self._within.counters.error_replies[reply.error.code] += 1
            self._within.log.command_refused(self.client, reply.id, reply.error)
        encoded = self._encoding.encode(reply)
        if self._outbox is not None:
            self._outbox.append(encoded)
        else:
            self._reply((encoded,))
        if isinstance(reply, ConnectReply):
            self.session = reply.session
            self._let_through()
            self._link.let_in(reply.session)

    def _let_through(self) -> None:
        """The client has its connect reply: what was written meanwhile follows, and all else directly."""
        self._flush_outbox()
        held, self._held = self._held, None
        self.write = self._link.write
        if held:
            self.write(bytes(held))

    def _hold(self, packed: bytes) -> None:
        """Write, or hold back what would reach the client before its connect reply."""
        if not self._session.connecting:
            if self.write is not drop:
                self._link.write(packed)
            return
        if self._held is None:
            self._held = bytearray()
        self._held += packed
        if len(self._held) > self._within.limits.high_water:
            self._held = None
            self.overflowed()

    def _flush(self) -> None:
        self._flush_outbox()
        self._outbox = None

    def _flush_outbox(self) -> None:
        if self._outbox:
            replies, self._outbox = self._outbox, []
            self._reply(replies)

    def _reply(self, replies: Sequence[bytes]) -> None:
        self._promised = 0
        self._link.reply(self.framing.pack(replies))

    def _close(self, disconnect: Disconnect) -> None:
        self._flush_outbox()
        self.write, self._commands, self._held = drop, None, None
        self._within.counters.disconnects[disconnect.code] += 1
        self._within.log.client_disconnected(self.client, disconnect)
        self._give_time_to_close()
        self._link.close(disconnect)

    def _give_time_to_close(self) -> None:
        self._unschedule()
        self._slot = self._within.wheel.schedule(self, self._within.monotonic() + self._within.limits.close_timeout)

    def _unschedule(self) -> None:
        if self._slot != UNSCHEDULED:
            self._within.wheel.cancel(self, self._slot)
            self._slot = UNSCHEDULED
