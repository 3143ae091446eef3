"""Who may do what on the broker: a user for each service that uses it, and one for backends.

RabbitMQ checks ``configure`` on declaring, ``write`` on publishing and on what a binding leads to,
``read`` on consuming and on what a binding comes from; on a topic exchange the routing key as well
(RabbitMQ: Access Control). Every pattern is matched against the whole name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from warren_shared.topology.catalogue import ORDER_KEYS, EventKey, ExchangeName, QueueName, RpcKey

_EVERY_KEY: Final = ".*"
_NO_KEY: Final = "^$"
_BACKEND_QUEUES: Final = r"app\..+"
_BACKEND_CALLS: Final = r"^app\..+$"
_OCCUPANCY: Final = (EventKey.CHANNEL_OCCUPIED, EventKey.CHANNEL_VACATED)
_TOLD_EVENTS: Final = r"^(client|channel)\.([a-z]+|[*#])$"
_BACKEND_REPLIES: Final = r"^warren\.reply\.gateway\.[0-9a-f]{16}$"
_REPLIES: Final = r"amq\.default"  # the default exchange: a reply goes straight to its asker's queue


@dataclass(frozen=True, slots=True)
class TopicAccess:
    """Which routing keys a user may publish under, and bind, on one topic exchange."""

    exchange: str
    write: str = _NO_KEY
    read: str = _NO_KEY


@dataclass(frozen=True, slots=True)
class Access:
    """A broker user's permissions, as RabbitMQ's regular expressions."""

    user: str
    configure: str
    write: str
    read: str
    topics: tuple[TopicAccess, ...] = ()


def _any_of(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$" if patterns else _NO_KEY


def _name(name: str) -> str:
    return name.replace(".", r"\.")


def _own_queues(service: str) -> tuple[str, str]:
    """Return patterns for a service's exclusive queues: its inboxes and where it awaits replies."""
    return rf"warren\.{service}\.[0-9a-f]{{16}}", rf"warren\.reply\.{service}\.[0-9a-f]{{16}}"


def _service(service: str, *, write: tuple[str, ...], read: tuple[str, ...], topics: tuple[TopicAccess, ...]) -> Access:
    own = _own_queues(service)
    return Access(
        user=f"warren-{service}",
        configure=_any_of(*own),
        write=_any_of(*own, *write),
        read=_any_of(*own, *read),
        topics=topics,
    )


_GATEWAY: Final = _service(
    "gateway",
    write=tuple(
        map(
            _name,
            (
                ExchangeName.PUBLISH,
                ExchangeName.PRESENCE,
                ExchangeName.RPC,
                ExchangeName.CONTROL,
                ExchangeName.EVENTS,
                ExchangeName.DEAD,
            ),
        )
    ),
    read=tuple(map(_name, (ExchangeName.DELIVER, ExchangeName.CONTROL, ExchangeName.REPLIES))),
    topics=(
        TopicAccess(ExchangeName.PUBLISH, write=_EVERY_KEY),
        TopicAccess(
            ExchangeName.RPC,
            write=_any_of(r"auth\.[a-z_]+", _name(RpcKey.HISTORY_READ), r"app\.[-a-zA-Z0-9_.:]+"),
        ),
        TopicAccess(ExchangeName.REPLIES, read=_BACKEND_REPLIES),
        TopicAccess(
            ExchangeName.EVENTS, write=_any_of(*map(_name, (key for key in EventKey if key not in _OCCUPANCY)))
        ),
        TopicAccess(ExchangeName.DEAD, write=_EVERY_KEY),
        TopicAccess(ExchangeName.DELIVER, read=_EVERY_KEY),
        # What clients of one gateway sent to another one; nobody but gateways speaks for clients.
        TopicAccess(
            ExchangeName.CONTROL,
            write=r"^emulation\.[-_a-zA-Z0-9]+$",
            read=r"^(all|user|gateway|emulation)\.[^.]+$",
        ),
    ),
)

_API: Final = _service(
    "api",
    write=tuple(
        map(_name, (ExchangeName.PUBLISH, ExchangeName.PRESENCE, ExchangeName.RPC, ExchangeName.CONTROL)),
    ),
    read=(_name(ExchangeName.EVENTS),),
    topics=(
        TopicAccess(ExchangeName.PUBLISH, write=_EVERY_KEY),
        TopicAccess(ExchangeName.RPC, write=_any_of(_name(RpcKey.HISTORY_READ), _name(RpcKey.HISTORY_REMOVE))),
        TopicAccess(ExchangeName.CONTROL, write=_any_of(*map(_name, ORDER_KEYS))),
        TopicAccess(
            ExchangeName.EVENTS, read=_any_of(_name(EventKey.GATEWAY_HEARTBEAT), _name(EventKey.GATEWAY_STOPPED))
        ),
    ),
)

_AUTH: Final = _service("auth", write=(_REPLIES,), read=(_name(QueueName.AUTH),), topics=())

_PRESENCE: Final = _service(
    "presence",
    write=(
        _REPLIES,
        *map(_name, (ExchangeName.DELIVER, ExchangeName.CONTROL, ExchangeName.EVENTS, ExchangeName.DEAD)),
    ),
    read=(r"warren\.presence\.[0-9]+",),
    topics=(
        TopicAccess(ExchangeName.DELIVER, write=_EVERY_KEY),
        TopicAccess(ExchangeName.CONTROL, write=r"^(all\.presence|gateway\..+)$"),
        TopicAccess(ExchangeName.EVENTS, write=_any_of(*map(_name, _OCCUPANCY))),
        TopicAccess(ExchangeName.DEAD, write=_EVERY_KEY),
    ),
)

_HISTORY: Final = _service(
    "history",
    # It leads each namespace's publications on their live or durable way: binding PUBLISH to
    # DELIVER or HISTORY reads the first and writes the second. Its command line asks for removals, which
    # nobody else may.
    write=(
        _REPLIES,
        *map(_name, (ExchangeName.DELIVER, ExchangeName.HISTORY, ExchangeName.RPC, ExchangeName.DEAD)),
    ),
    read=(_name(ExchangeName.PUBLISH), _name(QueueName.HISTORY_READS), r"warren\.history\.[0-9]+"),
    topics=(
        TopicAccess(ExchangeName.PUBLISH, read=_EVERY_KEY),
        TopicAccess(ExchangeName.RPC, write=_any_of(_name(RpcKey.HISTORY_REMOVE))),
        TopicAccess(ExchangeName.DELIVER, write=_EVERY_KEY),
        TopicAccess(ExchangeName.DEAD, write=_EVERY_KEY),
    ),
)

BACKEND_USER: Final = "backend"
_BACKEND: Final = Access(
    user=BACKEND_USER,
    # Its answers take an exchange of their own: through the default one they could be put into any queue, as
    # auth's words among them.
    configure=_any_of(_BACKEND_QUEUES),
    write=_any_of(
        _name(ExchangeName.PUBLISH), _name(ExchangeName.CONTROL), _name(ExchangeName.REPLIES), _BACKEND_QUEUES
    ),
    read=_any_of(_name(ExchangeName.RPC), _name(ExchangeName.EVENTS), _BACKEND_QUEUES),
    topics=(
        TopicAccess(ExchangeName.PUBLISH, write=_EVERY_KEY),
        TopicAccess(ExchangeName.CONTROL, write=_any_of(*map(_name, ORDER_KEYS))),
        TopicAccess(ExchangeName.RPC, read=_BACKEND_CALLS),
        TopicAccess(ExchangeName.EVENTS, read=_TOLD_EVENTS),
        TopicAccess(ExchangeName.REPLIES, write=_BACKEND_REPLIES),
    ),
)

ACCESS: Final = (_GATEWAY, _API, _AUTH, _PRESENCE, _HISTORY, _BACKEND)
"""Every broker user Warren needs."""
