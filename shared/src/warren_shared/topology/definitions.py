"""The topology and the access rules as RabbitMQ definitions: what its management plugin imports.

Importing adds and updates, and removes nothing (RabbitMQ: Schema Definition Export and Import).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from warren_shared.topology.access import Access
from warren_shared.topology.declarations import Binding, Exchange, Queue, Topology

Definitions = dict[str, list[dict[str, Any]]]
"""What becomes the JSON document."""

SALT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class UserLogin:
    """A broker user with the hash of its password."""

    access: Access
    password_hash: str


def password_hash(password: str, salt: bytes) -> str:
    """Return RabbitMQ's ``rabbit_password_hashing_sha256`` of a password; the salt is four random bytes."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"the salt must be {SALT_BYTES} bytes")
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def topology_definitions(topology: Topology, *, vhost: str) -> Definitions:
    """Return a virtual host with its exchanges, queues and bindings."""
    return {
        "vhosts": [{"name": vhost}],
        "exchanges": [_exchange(exchange, vhost) for exchange in topology.exchanges],
        "queues": [_queue(queue, vhost) for queue in topology.queues],
        "bindings": [_binding(binding, vhost) for binding in topology.bindings],
    }


def access_definitions(logins: Iterable[UserLogin], *, vhost: str) -> Definitions:
    """Return a virtual host with its users and what each may do."""
    logins = tuple(logins)
    return {
        "vhosts": [{"name": vhost}],
        "users": [_user(login) for login in logins],
        "permissions": [_permissions(login.access, vhost) for login in logins],
        "topic_permissions": [rule for login in logins for rule in _topic_permissions(login.access, vhost)],
    }


def _exchange(exchange: Exchange, vhost: str) -> dict[str, Any]:
    return {
        "name": exchange.name,
        "vhost": vhost,
        "type": exchange.type.value,
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": dict(exchange.arguments),
    }


def _queue(queue: Queue, vhost: str) -> dict[str, Any]:
    return {
        "name": queue.name,
        "vhost": vhost,
        "durable": True,
        "auto_delete": False,
        "arguments": dict(queue.arguments),
    }


def _binding(binding: Binding, vhost: str) -> dict[str, Any]:
    return {
        "source": binding.source,
        "vhost": vhost,
        "destination": binding.destination,
        "destination_type": "exchange" if binding.to_exchange else "queue",
        "routing_key": binding.routing_key,
        "arguments": {},
    }


def _user(login: UserLogin) -> dict[str, Any]:
    return {
        "name": login.access.user,
        "password_hash": login.password_hash,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "",
    }


def _permissions(access: Access, vhost: str) -> dict[str, Any]:
    return {
        "user": access.user,
        "vhost": vhost,
        "configure": access.configure,
        "write": access.write,
        "read": access.read,
    }


def _topic_permissions(access: Access, vhost: str) -> Iterable[dict[str, Any]]:
    for topic in access.topics:
        yield {
            "user": access.user,
            "vhost": vhost,
            "exchange": topic.exchange,
            "write": topic.write,
            "read": topic.read,
        }
