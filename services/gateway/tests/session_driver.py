"""Talks to a session in the protocol's JSON, without sockets, and reads what it wants done."""

from __future__ import annotations

import itertools
import json
from typing import Any, TypeVar

from warren_gateway.domain.effects import AskConnect, Close, Effect, Send
from warren_gateway.domain.encoding import UndecodableError
from warren_gateway.domain.events import (
    CommandReceived,
    ConnectAnswered,
    Event,
    GarbageReceived,
    Opened,
    SubscribeAnswered,
)
from warren_gateway.domain.json_encoding import JSON
from warren_gateway.domain.requests import Subscribed
from warren_gateway.domain.rules import SessionRules
from warren_gateway.domain.session import Session
from warren_shared.contracts.auth import Admitted, Grant, GrantScope, Operation
from warren_shared.contracts.namespaces import Namespaces, parse_namespaces

Json = dict[str, Any]
E = TypeVar("E", bound=Effect)

NAMESPACES = parse_namespaces(
    """
    without_namespace: {}
    namespaces:
      - {name: live}
      - {name: filtered, allow_tags_filter: true, history_size: 10, history_ttl: 60s, force_recovery: true,
         allowed_delta_types: [fossil]}
      - {name: tools, allow_rpc_for_client: true, subscription_events: true}
      - {name: chat, history_size: 10, history_ttl: 60s, force_recovery: true, presence: true,
         join_leave: true, force_push_join_leave: true}
      - {name: positioned, history_size: 10, history_ttl: 60s, force_positioning: true}
      - {name: asks, history_size: 10, history_ttl: 60s, allow_recovery: true, allow_positioning: true,
         join_leave: true}
      - {name: latest, history_size: 1, history_ttl: 60s, force_recovery: true, force_recovery_mode: cache,
         auto_cache_recover: true}
      - {name: stored, history_size: 10, history_ttl: 60s}
      - {name: objects, publication_data_format: json_object}
      - {name: trades, allow_patterns: true, history_size: 10, history_ttl: 60s, force_recovery: true, presence: true,
         join_leave: true, force_push_join_leave: true}
      - {name: limited, allow_user_limited_channels: true}
    """
)
EVERYTHING = tuple(
    Grant(scope=scope, target=namespace, operations=frozenset(Operation))
    for namespace in NAMESPACES
    for scope in (GrantScope.NAMESPACE, GrantScope.USER_LIMITED)
)
CLIENT = "client-1"
ALICE = Admitted(user="alice", info='{"name":"Alice"}', grants=EVERYTHING)
_codec = JSON


def session_rules(**changes: Any) -> SessionRules:
    """Rules with names and chance that can be foretold."""
    ids = itertools.count(1)
    defaults: dict[str, Any] = {
        "node": "gw-1",
        "version": "Warren 0.1.0",
        "namespaces": lambda: NAMESPACES,
        "new_id": lambda: f"id-{next(ids)}",
        "random": lambda: 0.0,
    }
    return SessionRules(**(defaults | changes))


def serving(namespaces: Namespaces) -> Any:
    """Return the rule that these namespaces are in force."""
    return {"namespaces": lambda: namespaces}


class Talk:
    """One session and its client."""

    def __init__(self, **changes: Any) -> None:
        self.now = 1000.0
        self.session = Session(CLIENT, session_rules(**changes))
        self.opened = self.feed(Opened())

    def feed(self, event: Event) -> list[Effect]:
        return self.session.feed(event, self.now)

    def say(self, *commands: Json | str) -> list[Effect]:
        """Send commands as one frame; stops where the session accepts no more."""
        lines = (command if isinstance(command, str) else json.dumps(command) for command in commands)
        return self.send("\n".join(lines).encode())

    def send(self, frame: bytes) -> list[Effect]:
        effects: list[Effect] = []
        try:
            for command in _codec.decode(frame):
                effects += self.feed(CommandReceived(command))
        except UndecodableError:
            effects += self.feed(GarbageReceived())
        return effects

    def connect(self, admitted: Admitted = ALICE, *, ttl: float | None = None, **connect: Any) -> list[Effect]:
        """Connect as command 1 and have auth admit the client."""
        asked = self.say({"id": 1, "connect": connect})
        assert [type(effect) for effect in asked][:1] == [AskConnect]
        return self.feed(ConnectAnswered(admitted, ttl))

    def subscribe(self, channel: str, answer: Subscribed | None = None, *, number: int = 2, **ask: Any) -> list[Effect]:
        """Subscribe and have the bus side answer."""
        self.say({"id": number, "subscribe": {"channel": channel, **ask}})
        return self.feed(SubscribeAnswered(channel, answer or Subscribed()))


def connected(admitted: Admitted = ALICE, **changes: Any) -> Talk:
    """Return a session whose client has been let in."""
    talk = Talk(**changes)
    talk.connect(admitted)
    return talk


def sent(effects: list[Effect]) -> list[Json]:
    """Return what the client is sent, decoded."""
    return [json.loads(_codec.encode(effect.reply)) for effect in effects if isinstance(effect, Send)]


def closed_with(effects: list[Effect]) -> int | None:
    """Return the code the connection is closed with, None if it is not."""
    codes = [effect.disconnect.code for effect in effects if isinstance(effect, Close)]
    assert len(codes) <= 1
    return codes[0] if codes else None


def error_of(effects: list[Effect]) -> int | None:
    """Return the code of the one error reply among the effects, None if there is none."""
    codes = [reply["error"]["code"] for reply in sent(effects) if "error" in reply]
    assert len(codes) <= 1
    return codes[0] if codes else None


def only(effects: list[Effect], kind: type[E]) -> E:
    """Return the one effect of a kind."""
    (effect,) = (effect for effect in effects if isinstance(effect, kind))
    return effect
