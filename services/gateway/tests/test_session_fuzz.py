"""Any commands, any answers, in any order: every command is answered once, nothing is left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

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
    RefuseOrder,
    Send,
    StartSubscription,
    WakeAt,
)
from warren_gateway.domain.events import (
    Answered,
    CloseRequested,
    ConnectAnswered,
    Event,
    RefreshAnswered,
    RefreshOrdered,
    SubRefreshAnswered,
    SubscribeAnswered,
    SubscribeDecided,
    SubscribeOrdered,
    SubscriptionEnded,
    TimeElapsed,
    TransportClosed,
    UnsubscribeOrdered,
)
from warren_gateway.domain.requests import CallResult, Published, Subscribed
from warren_shared.contracts.auth import Admitted, Allowed, Refused
from warren_shared.contracts.codes import Disconnect, Disconnects, ErrorCode, Errors, Unsubscribes
from warren_shared.contracts.history import Page
from warren_shared.contracts.presence import Members, Stats
from warren_shared.contracts.publication import Position

from .session_driver import EVERYTHING, Json, Talk, sent

ERROR_CODES = {error.code for error in vars(Errors).values() if isinstance(error, ErrorCode)}
CLOSE_CODES = {close.code for close in vars(Disconnects).values() if isinstance(close, Disconnect)}
CONCURRENCY = 4
CHANNELS = 3

GOOD = ["live:a", "live:b", "chat:a", "chat:b", "limited:a#alice"]
good_channels = st.sampled_from(GOOD)
channels = st.sampled_from([*GOOD * 4, "chat:$x", "nope:a", "*", "é"])
BAD: list[Json | str] = [
    {},
    {"id": 0},
    {"id": 0, "send": {}},
    {"id": 0, "connect": {}},
    {"id": 0, "subscribe": {}},
    {"id": 0, "subscribe": {"channel": 7}},
    {"id": 0, "publish": {"channel": "live:a"}},
    {"id": 0, "refresh": {}},
    {"id": 0, "nonsense": [1]},
    {"subscribe": {"channel": "live:a"}},
    "garbage",
]


def command(name: str, /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({"id": st.just(0), name: st.fixed_dictionaries(fields)})


commands: st.SearchStrategy[Json | str] = st.one_of(
    command("subscribe", channel=good_channels, recover=st.booleans(), offset=st.just(3), flag=st.integers(0, 3)),
    command("subscribe", channel=good_channels, token=st.just("t")),
    command("unsubscribe", channel=good_channels),
    command("subscribe", channel=channels),
    command("publish", channel=channels, data=st.sampled_from([1, None, {}])),
    command("presence", channel=channels),
    command("presence_stats", channel=channels),
    command("history", channel=channels, limit=st.integers(-2, 400)),
    command("refresh", token=st.just("t")),
    command("sub_refresh", channel=channels, token=st.sampled_from(["", "t"])),
    command("rpc", method=st.sampled_from(["m", "tools:m", "tools:m"])),
    st.integers(0, 7 * len(BAD)).map(lambda n: BAD[n] if n < len(BAD) else {"id": 0, "ping": {}}),
)


@dataclass(frozen=True)
class Answer:
    """One of the open questions is answered."""

    which: int
    fails: bool


@dataclass(frozen=True)
class Wait:
    """Time passes."""

    seconds: float


answers = st.builds(Answer, st.integers(0, 9), st.sampled_from([False, False, False, True]))
ends = st.builds(SubscriptionEnded, good_channels, st.sampled_from([Unsubscribes.SERVER, Unsubscribes.EXPIRED]))
waits = st.builds(Wait, st.sampled_from([0.0, 1.0, 13.0]))
Ordered = UnsubscribeOrdered | SubscribeOrdered | RefreshOrdered
orders: st.SearchStrategy[Ordered] = st.one_of(
    st.builds(UnsubscribeOrdered, good_channels),
    st.builds(SubscribeOrdered, good_channels, st.sampled_from([None, "1"]), st.sampled_from([None, b"[]"])),
    st.builds(RefreshOrdered, st.booleans(), st.sampled_from([100.0, 0.0, 100.0, 100.0]), st.sampled_from([None, "1"])),
)
actions: st.SearchStrategy[Json | str | Answer | SubscriptionEnded | Wait | Ordered] = st.one_of(
    commands, commands, answers, answers, ends, waits, orders
)
scripts = st.lists(actions, min_size=10, max_size=60)


class Client:
    """Feeds a session, keeps account of what it asks for and is sent, and checks every step."""

    def __init__(self) -> None:
        self.talk = Talk(command_concurrency=CONCURRENCY, channel_limit=CHANNELS)
        self.asks: list[Effect] = []
        self.active: set[str] = set()
        """Channels started and not ended, by this side or the other."""
        self.numbers: list[int] = []
        self.answered: list[int] = []
        self.closed: int | None = None
        self.next_number = 1

    def command(self, command: Json | str) -> None:
        if not self.talk.session.accepting:
            return
        if isinstance(command, dict) and "id" in command:
            command = command | {"id": self.next_number}
            self.numbers.append(self.next_number)
            self.next_number += 1
        self.take(self.talk.say(command))

    def ended(self, event: SubscriptionEnded) -> None:
        """The bus side ends a subscription that stands."""
        if event.channel in self.active and not any(is_start(ask, event.channel) for ask in self.asks):
            self.active.discard(event.channel)
            self.event(event)

    def event(self, event: Event) -> None:
        if isinstance(event, SubscribeAnswered) and not isinstance(event.answer, Subscribed):
            self.active.discard(event.channel)
        self.take(self.talk.feed(event))

    def take(self, effects: list[Effect]) -> None:
        for position, effect in enumerate(effects):
            assert self.closed is None, "nothing may follow a close"
            match effect:
                case Close(disconnect):
                    self.closed = disconnect.code
                    assert position == len(effects) - 1
                case AskSubscribe(request):
                    assert request.channel not in self.active
                    self.asks.append(effect)
                case StartSubscription(subscribe):
                    assert subscribe.channel not in self.active
                    self.active.add(subscribe.channel)
                    self.asks.append(effect)
                case EndSubscription(channel):
                    self.active.discard(channel)
                    self.asks = [a for a in self.asks if not is_start(a, channel)]
                case Send():
                    (reply,) = sent([effect])
                    self.answered += [reply["id"]] if "id" in reply else []
                    if "error" in reply:
                        assert reply["error"]["code"] in ERROR_CODES
                case Identify() | RefuseOrder():
                    pass
                case WakeAt(time):
                    assert time >= self.talk.now
                case _:
                    self.asks.append(effect)
        assert self.closed is None or self.closed in CLOSE_CODES
        assert len(self.asks) <= CONCURRENCY + CHANNELS + 1

    def answer(self, ask: Effect, *, fails: bool) -> None:
        self.asks.remove(ask)
        self.event(outcome(ask, fails=fails))


def is_start(ask: Effect, channel: str) -> bool:
    return isinstance(ask, StartSubscription) and ask.request.channel == channel


def outcome(ask: Effect, *, fails: bool) -> Event:  # noqa: C901, PLR0911 - one for each kind of question
    admitted = Admitted(user="alice", grants=EVERYTHING)
    match ask:
        case AskConnect():
            return ConnectAnswered(Refused(code=109, reason="x") if fails else admitted)
        case AskRefresh(id=number):
            return RefreshAnswered(number, Errors.INTERNAL if fails else admitted, ttl=None)
        case StartSubscription(subscribe):
            position = Position("e", 1) if subscribe.positioned else None
            recovering = subscribe.recover_from is not None
            return SubscribeAnswered(
                subscribe.channel, Errors.INTERNAL if fails else Subscribed(position, was_recovering=recovering)
            )
        case AskPublish(id=number):
            return Answered(number, Errors.INTERNAL if fails else Published())
        case AskPresence(id=number):
            return Answered(number, Errors.INTERNAL if fails else Members())
        case AskPresenceStats(id=number):
            return Answered(number, Errors.INTERNAL if fails else Stats())
        case AskHistory(id=number):
            return Answered(number, Errors.INTERNAL if fails else Page(epoch="e", top=1))
        case AskSubscribe(request):
            refused = Refused(code=103, reason="x")
            return SubscribeDecided(request.channel, refused if fails else Allowed(info="1"), ttl=13.0)
        case AskSubRefresh(id=number, request=refresh):
            return SubRefreshAnswered(number, refresh.channel, Errors.INTERNAL if fails else Allowed(), ttl=13.0)
        case AskRpc(id=number):
            return Answered(number, Errors.INTERNAL if fails else CallResult(b"1"))
    raise AssertionError(ask)


def run(script: list[Json | str | Answer | SubscriptionEnded | Wait | Ordered]) -> Client:
    client = Client()
    client.command({"id": 0, "connect": {}})
    client.answer(client.asks[0], fails=False)
    for action in script:
        match action:
            case Answer(which, fails):
                if client.asks:
                    client.answer(client.asks[which % len(client.asks)], fails=fails)
            case SubscriptionEnded():
                client.ended(action)
            case UnsubscribeOrdered() | SubscribeOrdered() | RefreshOrdered():
                client.event(action)
            case Wait(seconds):
                client.talk.now += seconds
                client.event(TimeElapsed())
            case _:
                client.command(action)
    return client


@settings(max_examples=100, deadline=None)
@given(scripts)
def test_every_command_is_answered_once_unless_the_connection_ends(script: list[Any]) -> None:
    client = run(script)
    while client.asks and client.closed is None:
        client.answer(client.asks[0], fails=False)
    assert len(client.answered) == len(set(client.answered))
    if client.closed is None:
        assert sorted(client.answered) == client.numbers


@settings(max_examples=60, deadline=None)
@given(scripts, st.sampled_from([TransportClosed(), CloseRequested(Disconnects.SHUTDOWN)]))
def test_no_subscription_outlives_the_connection(script: list[Any], end: Event) -> None:
    client = run(script)
    client.event(end)
    assert not client.active
    for ask in client.asks:
        assert client.talk.feed(outcome(ask, fails=False)) == []
