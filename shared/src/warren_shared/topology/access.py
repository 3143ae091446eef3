"""Who may do what on the broker: a user for each service that uses it, and one for backends that publish.

RabbitMQ checks ``configure`` on declaring, ``write`` on publishing and on what a binding leads to,
``read`` on consuming and on what a binding comes from; on a topic exchange the routing key as well
(RabbitMQ: Access Control). Every pattern is matched against the whole name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from warren_shared.topology.catalogue import EventKey, ExchangeName, QueueName, RpcKey

_EVERY_KEY: Final = ".*"
_NO_KEY: Final = "^$"
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
                ExchangeName.EVENTS,
                ExchangeName.DEAD,
            ),
        )
    ),
    read=tuple(map(_name, (ExchangeName.DELIVER, ExchangeName.CONTROL))),
    topics=(
        TopicAccess(ExchangeName.PUBLISH, write=_EVERY_KEY),
        TopicAccess(ExchangeName.RPC, write=_any_of(r"auth\.[a-z_]+", _name(RpcKey.HISTORY_READ))),
        TopicAccess(ExchangeName.EVENTS, write=_any_of(*map(_name, EventKey))),
        TopicAccess(ExchangeName.DEAD, write=_EVERY_KEY),
        TopicAccess(ExchangeName.DELIVER, read=_EVERY_KEY),
        TopicAccess(ExchangeName.CONTROL, read=r"^(all|user|gateway)\.[^.]+$"),
    ),
)

_AUTH: Final = _service("auth", write=(_REPLIES,), read=(_name(QueueName.AUTH),), topics=())

_PRESENCE: Final = _service(
    "presence",
    write=(_REPLIES, *map(_name, (ExchangeName.DELIVER, ExchangeName.CONTROL, ExchangeName.DEAD))),
    read=(r"warren\.presence\.[0-9]+",),
    topics=(
        TopicAccess(ExchangeName.DELIVER, write=_EVERY_KEY),
        TopicAccess(ExchangeName.CONTROL, write=r"^(all\.presence|gateway\..+)$"),
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
    configure=_NO_KEY,
    write=_any_of(_name(ExchangeName.PUBLISH)),
    read=_NO_KEY,
    topics=(TopicAccess(ExchangeName.PUBLISH, write=_EVERY_KEY),),
)

ACCESS: Final = (_GATEWAY, _AUTH, _PRESENCE, _HISTORY, _BACKEND)
"""Every broker user Warren needs."""
