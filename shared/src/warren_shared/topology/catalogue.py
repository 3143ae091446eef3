"""The topology of Warren.

The static part exists once for a virtual host. The bindings that send a namespace's publications on
their live or their durable way depend on the namespace file: :func:`namespace_bindings`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from warren_shared.contracts.channels import namespace_pattern
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.topology.declarations import Arguments, Binding, Exchange, ExchangeType, Queue, Topology

DEFAULT_PARTITIONS: Final = 4
"""Partitions of the durable path and of presence. Changing it moves channels between partitions:
stop publishers and drain the queues first (docs/platform.md)."""
MAX_PARTITIONS: Final = 256

DEAD_LETTERS_KEPT: Final = 10_000
RPC_QUEUE_LENGTH: Final = 50_000
RPC_TTL_MS: Final = 30_000
"""A request nobody took for so long has no asker left."""


class ExchangeName(StrEnum):
    """Names of the exchanges."""

    PUBLISH = "warren.publish"
    HISTORY = "warren.history"
    DELIVER = "warren.deliver"
    PRESENCE = "warren.presence"
    RPC = "warren.rpc"
    REPLIES = "warren.replies"
    CONTROL = "warren.control"
    EVENTS = "warren.events"
    DEAD = "warren.dead"


class QueueName(StrEnum):
    """Names of the queues that are not partitions."""

    AUTH = "warren.rpc.auth"
    HISTORY_READS = "warren.rpc.history"
    DEAD = "warren.dead"


class RpcKey(StrEnum):
    """Routing keys on ``warren.rpc``."""

    AUTH_CONNECT = "auth.connect"
    AUTH_REFRESH = "auth.refresh"
    AUTH_SUBSCRIBE = "auth.subscribe"
    AUTH_SUB_REFRESH = "auth.sub_refresh"
    HISTORY_READ = "history.read"
    HISTORY_REMOVE = "history.remove"


class ControlKey(StrEnum):
    """Routing keys on ``warren.control``; a single gateway's are ``gateway.<id>`` and ``emulation.<id>``."""

    ALL = "all.#"
    ALL_PRESENCE = "all.presence"
    USER = "user.#"
    USER_DISCONNECT = "user.disconnect"
    USER_UNSUBSCRIBE = "user.unsubscribe"
    USER_REFRESH = "user.refresh"
    USER_SUBSCRIBE = "user.subscribe"


SESSION_HEADER: Final = "x-warren-session"
"""Header of what one gateway sends another for a client of that one: the client's session, a secret."""

ORDER_KEYS: Final = (
    ControlKey.USER_DISCONNECT,
    ControlKey.USER_UNSUBSCRIBE,
    ControlKey.USER_REFRESH,
    ControlKey.USER_SUBSCRIBE,
)
"""What backends may publish under on ``warren.control``: one key for each order."""


class EventKey(StrEnum):
    """Routing keys on ``warren.events``."""

    GATEWAY_HEARTBEAT = "gateway.heartbeat"
    GATEWAY_STOPPED = "gateway.stopped"
    GATEWAY_SYNCED = "gateway.synced"
    CLIENT_MESSAGE = "client.message"
    CLIENT_CONNECTED = "client.connected"
    CLIENT_DISCONNECTED = "client.disconnected"
    CLIENT_SUBSCRIBED = "client.subscribed"
    CLIENT_UNSUBSCRIBED = "client.unsubscribed"
    CHANNEL_OCCUPIED = "channel.occupied"
    CHANNEL_VACATED = "channel.vacated"


def backend_rpc_key(method: str) -> str:
    """Return the key on ``warren.rpc`` that reaches the backend which answers a client's method."""
    return f"app.{method}"


def gateway_control_key(gateway: str) -> str:
    """Return the control key that reaches one gateway."""
    return f"gateway.{gateway}"


def emulation_key(gateway: str) -> str:
    """Return the control key that brings a gateway messages of its clients that another gateway was sent."""
    return f"emulation.{gateway}"


def history_partition(index: int) -> str:
    """Return the name of a partition queue of the durable path."""
    return f"warren.history.{index}"


def presence_partition(index: int) -> str:
    """Return the name of a partition queue of presence."""
    return f"warren.presence.{index}"


_EXCHANGES: Final = (
    Exchange(ExchangeName.DEAD, ExchangeType.TOPIC, "What could not be routed or handled, under its original key."),
    Exchange(
        ExchangeName.PUBLISH,
        ExchangeType.TOPIC,
        "The door for publications: backends and gateways publish here under the channel's key.",
        {"alternate-exchange": ExchangeName.DEAD.value},
    ),
    Exchange(
        ExchangeName.HISTORY,
        ExchangeType.CONSISTENT_HASH,
        "Spreads durable channels over the partitions.",
        {"alternate-exchange": ExchangeName.DEAD.value},
    ),
    Exchange(ExchangeName.DELIVER, ExchangeType.TOPIC, "What gateways deliver to subscribers."),
    Exchange(ExchangeName.PRESENCE, ExchangeType.CONSISTENT_HASH, "Spreads presence over its partitions."),
    Exchange(ExchangeName.RPC, ExchangeType.TOPIC, "Requests, under <owner>.<method>."),
    Exchange(ExchangeName.REPLIES, ExchangeType.TOPIC, "Backends' answers to clients' calls, under the reply_to."),
    Exchange(
        ExchangeName.CONTROL, ExchangeType.TOPIC, "Orders to gateways: all.#, user.#, gateway.<id>, emulation.<id>."
    ),
    Exchange(ExchangeName.EVENTS, ExchangeType.TOPIC, "What happened, for whoever wants to know."),
)

_NO_DELIVERY_LIMIT: Final = 2_147_483_647
"""RabbitMQ 4 gives up on a message after 20 deliveries unless told otherwise, and a store that is
down for an hour is no reason to lose what was confirmed. -1 would say it, but 3.x refuses that."""

_DURABLE_PARTITION: Final[Arguments] = {
    "x-queue-type": "quorum",
    "x-single-active-consumer": True,
    "x-delivery-limit": _NO_DELIVERY_LIMIT,
    # What a publisher let expire while history was away is kept, not lost in silence.
    "x-dead-letter-exchange": ExchangeName.DEAD.value,
}
_PRESENCE_PARTITION: Final[Arguments] = {
    "x-queue-type": "classic",
    "x-single-active-consumer": True,
    "x-max-length": 1_000_000,
}
_RPC: Final[Arguments] = {"x-queue-type": "classic", "x-message-ttl": RPC_TTL_MS, "x-max-length": RPC_QUEUE_LENGTH}


def topology(partitions: int = DEFAULT_PARTITIONS) -> Topology:
    """Return the static topology with so many history and presence partitions."""
    queues = [
        Queue(
            QueueName.DEAD,
            "operators",
            "Dead letters, the oldest dropped beyond its bound.",
            {"x-queue-type": "classic", "x-max-length": DEAD_LETTERS_KEPT},
        ),
        Queue(QueueName.AUTH, "auth", "Requests to auth.", _RPC),
        Queue(QueueName.HISTORY_READS, "history", "Reads and removals of streams.", _RPC),
    ]
    bindings = [
        Binding(ExchangeName.DEAD, QueueName.DEAD, "#"),
        Binding(ExchangeName.RPC, QueueName.AUTH, "auth.*"),
        Binding(ExchangeName.RPC, QueueName.HISTORY_READS, "history.*"),
    ]
    for index in range(partitions):
        history, presence = history_partition(index), presence_partition(index)
        queues.append(Queue(history, "history", "One partition of the durable path.", _DURABLE_PARTITION))
        queues.append(Queue(presence, "presence", "One partition of presence.", _PRESENCE_PARTITION))
        bindings.append(Binding(ExchangeName.HISTORY, history, "1"))
        bindings.append(Binding(ExchangeName.PRESENCE, presence, "1"))
        bindings.append(Binding(ExchangeName.EVENTS, presence, "gateway.*"))
    return Topology(_EXCHANGES, tuple(queues), tuple(bindings))


def namespace_bindings(namespaces: Namespaces) -> tuple[frozenset[Binding], frozenset[Binding]]:
    """Return (bindings that must exist, bindings that must not) for the namespaces of a file.

    Publications of a live namespace go to ``warren.deliver``, those of a durable one to
    ``warren.history``, never to both.
    """
    wanted, unwanted = set(), set()
    for name, options in namespaces.by_name.items():
        key = namespace_pattern(name)
        live = Binding(ExchangeName.PUBLISH, ExchangeName.DELIVER, key, to_exchange=True)
        durable = Binding(ExchangeName.PUBLISH, ExchangeName.HISTORY, key, to_exchange=True)
        wanted.add(durable if options.durable else live)
        unwanted.add(live if options.durable else durable)
    return frozenset(wanted), frozenset(unwanted)
