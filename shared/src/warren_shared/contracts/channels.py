"""Channel names: what is a legal name, and the one-to-one mapping to AMQP routing keys.

A channel ``namespace:rest`` travels under the routing key ``namespace.rest``; a channel without a
namespace under ``_.rest``. A namespace name has at least two characters and no dot, so ``_`` can
never be one and the first dot of a key always ends the namespace: the mapping can be inverted.

A private channel may be written ``$namespace:rest`` (client protocol, Channels). It belongs to the
namespace, so its key must match the namespace's binding: it is ``namespace.$.rest``. No other channel
has that key, because a rest whose first of several words is ``$`` is refused.
"""

from __future__ import annotations

import re
from typing import Final

MAX_ROUTING_KEY_BYTES: Final = 255
"""AMQP 0-9-1 carries a routing key as a short string: 255 bytes at most."""

NO_NAMESPACE_WORD: Final = "_"
"""The first routing-key word of channels that have no namespace."""

NAMESPACE_NAME: Final = re.compile(r"[-a-zA-Z0-9_]{2,64}")
"""What a namespace may be called (matched whole)."""

PRIVATE_PREFIX: Final = "$"
"""Begins the name of a private channel, before its namespace or behind it."""

_PRIVATE_WORD: Final = f"{PRIVATE_PREFIX}."
"""Begins the rest of the key of a channel ``$namespace:rest``."""

_WILDCARD_WORDS: Final = frozenset({"*", "#"})


class ChannelNameError(ValueError):
    """The text is not a legal channel name; the message says why."""


def namespace_of(channel: str) -> str:
    """Return the part before the first ``:``, without a leading ``$``; ``""`` for a channel without a
    namespace.
    """
    head, colon, _ = channel.partition(":")
    if not colon:
        return ""
    return head.removeprefix(PRIVATE_PREFIX) or head


def routing_key_of(channel: str) -> str:
    """Return the AMQP routing key of a channel; the inverse of :func:`channel_of`."""
    head, colon, rest = channel.partition(":")
    if not colon:
        return f"{NO_NAMESPACE_WORD}.{channel}"
    if head.startswith(PRIVATE_PREFIX):
        return f"{head[1:]}.{_PRIVATE_WORD}{rest}"
    return f"{head}.{rest}"


def channel_of(routing_key: str) -> str:
    """Return the channel of a routing key; the inverse of :func:`routing_key_of`.

    Raises ChannelNameError if no channel maps to this key (a backend published to it by mistake).
    """
    head, dot, rest = routing_key.partition(".")
    if not dot:
        raise ChannelNameError(f"routing key {routing_key!r} has no namespace word")
    if head == NO_NAMESPACE_WORD:
        if ":" in rest:
            raise ChannelNameError(f"routing key {routing_key!r} names a namespace after '_.'")
        return rest
    if not NAMESPACE_NAME.fullmatch(head):
        raise ChannelNameError(f"routing key {routing_key!r} starts with no legal namespace name")
    if rest.startswith(_PRIVATE_WORD):
        return f"{PRIVATE_PREFIX}{head}:{rest.removeprefix(_PRIVATE_WORD)}"
    return f"{head}:{rest}"


def is_private(channel: str) -> bool:
    """Whether only a grant that names the channel opens it: its name, or its rest, begins with ``$``."""
    return channel.startswith(PRIVATE_PREFIX) or channel.partition(":")[2].startswith(PRIVATE_PREFIX)


def is_pattern(channel: str) -> bool:
    """Whether a word of the name is exactly ``*`` or ``#``, so that it stands for many channels."""
    if "*" not in channel and "#" not in channel:
        return False
    return not _WILDCARD_WORDS.isdisjoint(routing_key_of(channel).split("."))


def check_pattern(pattern: str, *, max_length: int = MAX_ROUTING_KEY_BYTES) -> None:
    """Raise ChannelNameError unless ``pattern`` may be subscribed to where patterns are allowed.

    ``*`` stands for one word and ``#`` for any number, as on a topic exchange. There is one ``#`` at most: what a
    broker and a gateway do to match several grows with their number. Otherwise it is made as a channel's name is, and
    neither private nor limited to users.
    """
    words = routing_key_of(pattern).split(".")
    if words.count("#") > 1:
        raise ChannelNameError("a pattern has more than one word '#'")
    if any("#" in word for word in words if word != "#"):
        raise ChannelNameError("a pattern cannot be limited to users")
    if is_private(pattern):
        raise ChannelNameError("a pattern cannot be private")
    check_channel(
        channel_of(".".join("w" if word in _WILDCARD_WORDS else word for word in words)), max_length=max_length
    )


def namespace_pattern(namespace: str) -> str:
    """Return the topic binding key that matches every channel of a namespace."""
    return f"{namespace or NO_NAMESPACE_WORD}.#"


def namespace_key(namespace: str) -> str:
    """Return the routing key of what is for a whole namespace. :func:`namespace_pattern` matches it,
    because ``#`` stands for no word as well; no channel has it, because every channel's key has a dot.
    """
    return namespace or NO_NAMESPACE_WORD


def users_of(channel: str) -> frozenset[str] | None:
    """Return the user ids a user-limited channel names after ``#``, or None if it is none.

    ``dialog#42,43`` is limited to users 42 and 43; ``inbox:#42`` to user 42.
    """
    _, boundary, users = channel.rpartition("#")
    return frozenset(users.split(",")) if boundary else None


def check_channel(channel: str, *, max_length: int = MAX_ROUTING_KEY_BYTES) -> None:
    """Raise ChannelNameError unless ``channel`` may be subscribed to and published on.

    Rejected are: the empty name, names that are not printable ASCII, names longer than
    ``max_length`` bytes or whose routing key exceeds 255, names with a word that is exactly ``*`` or
    ``#`` (bound on a topic exchange, such a word would match other channels), and ``namespace:$.rest``,
    whose routing key is that of ``$namespace:rest``.
    """
    if not channel:
        raise ChannelNameError("channel name is empty")
    if len(channel) > max_length:
        raise ChannelNameError(f"channel name is longer than {max_length} bytes")
    if not (channel.isascii() and channel.isprintable()):
        raise ChannelNameError("channel name must be printable ASCII")
    key = routing_key_of(channel)
    if len(key) > MAX_ROUTING_KEY_BYTES:
        raise ChannelNameError(f"routing key of the channel is longer than {MAX_ROUTING_KEY_BYTES} bytes")
    if not _WILDCARD_WORDS.isdisjoint(key.split(".")):
        raise ChannelNameError("a word of the channel name is a wildcard ('*' or '#')")
    head, colon, rest = channel.partition(":")
    if not colon:
        return
    if not NAMESPACE_NAME.fullmatch(head.removeprefix(PRIVATE_PREFIX)):
        raise ChannelNameError(f"{head!r} is no legal namespace name")
    if rest.startswith(_PRIVATE_WORD) and not head.startswith(PRIVATE_PREFIX):
        raise ChannelNameError(f"the word {PRIVATE_PREFIX!r} stands before the namespace: ${head}:{rest[2:]}")
