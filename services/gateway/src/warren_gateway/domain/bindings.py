"""Which keys a gateway binds on ``warren.deliver``, so that it receives the channels it follows.

A pattern of channels is followed as a channel is: its key is the one to bind. That of all channels of a namespace
is the namespace's own.

A channel is bound by its own key until too many channels of its namespace are; then by the one key
of the namespace, and what is not followed is filtered out on arrival. Unbinding costs the broker
much more than binding, so it is done late and in batches, and never for a channel that is wanted
again meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto

from warren_shared.contracts.channels import channel_of, namespace_of, namespace_pattern, routing_key_of


class KeyState(Enum):
    """How a key stands with the broker; a key without a state is not bound."""

    WANTED = auto()
    WANTED_AGAIN = auto()
    """It is to be bound, and may be bound already."""
    BINDING = auto()
    BOUND = auto()
    UNBINDING = auto()
    DOUBTFUL = auto()
    """An attempt to bind or unbind it failed: it may be bound or not."""


class _Namespace:
    __slots__ = ("always_whole", "exact_keys", "followed", "pattern", "whole")

    def __init__(self, name: str, *, always_whole: bool) -> None:
        self.pattern = namespace_pattern(name)
        self.always_whole = self.whole = always_whole
        self.followed: dict[str, None] = {}
        self.exact_keys = 0
        """Channel keys that have a state."""


class BindingPlan:
    """Pure book-keeping; who applies it takes keys and says what became of them.

    ``grace`` is for how many seconds a channel nobody needs stays bound, ``threshold`` how many
    channels of a namespace are bound one by one, ``whole`` names namespaces that never are.
    """

    def __init__(self, *, grace: float, threshold: int, whole: Iterable[str] = ()) -> None:
        self._grace, self._threshold = grace, threshold
        self._always_whole = frozenset(whole)
        self._namespaces: dict[str, _Namespace] = {}
        self._states: dict[str, KeyState] = {}
        self._to_bind: dict[str, None] = {}
        self._to_unbind: dict[str, None] = {}
        self._lingering: dict[str, float] = {}

    def __len__(self) -> int:
        """Return how many keys are bound."""
        return sum(state is KeyState.BOUND for state in self._states.values())

    def always_whole(self, names: Iterable[str]) -> None:
        """Name the namespaces that are bound as a whole from now on; the others stay as they are."""
        self._always_whole = frozenset(names)
        for name, namespace in self._namespaces.items():
            namespace.always_whole = name in self._always_whole
            if namespace.always_whole and not namespace.whole:
                self._make_whole(namespace)

    def follow(self, channel: str) -> bool:
        """Need a channel. Returns whether it is bound; else ``bound`` or ``failed`` names it later."""
        self._lingering.pop(channel, None)
        namespace = self._namespace(namespace_of(channel))
        namespace.followed[channel] = None
        key = routing_key_of(channel)
        if key == namespace.pattern and not namespace.whole:
            self._make_whole(namespace)
        if self._covered(namespace, channel):
            self._keep(namespace, channel)
            return True
        if not namespace.whole and key not in self._states and namespace.exact_keys >= self._threshold:
            self._make_whole(namespace)
        self._want(namespace.pattern if namespace.whole else key)
        return False

    def keep(self, channel: str) -> None:
        """Somebody needs the channel again, before its grace is over."""
        self._lingering.pop(channel, None)

    def release(self, channel: str, now: float) -> None:
        """Nobody needs the channel any more; it stays bound for the grace."""
        self._lingering.pop(channel, None)
        self._lingering[channel] = now + self._grace

    def retire(self, now: float) -> list[str]:
        """Stop following the channels whose grace is over, and return them."""
        retired = []
        for channel, deadline in self._lingering.items():
            if deadline > now:
                break
            retired.append(channel)
        for channel in retired:
            self.abandon(channel)
        return retired

    def abandon(self, channel: str) -> None:
        """Stop following a channel at once."""
        self._lingering.pop(channel, None)
        namespace = self._namespace(namespace_of(channel))
        if channel not in namespace.followed:
            return
        del namespace.followed[channel]
        if routing_key_of(channel) != namespace.pattern:
            self._drop(routing_key_of(channel))
        if not namespace.followed:
            namespace.whole = namespace.always_whole
            self._drop(namespace.pattern)

    def take_binds(self, at_most: int) -> list[str]:
        """Return keys to bind now; then report them to ``bound`` or ``failed``."""
        return self._take(self._to_bind, at_most, KeyState.BINDING)

    def take_unbinds(self, at_most: int) -> list[str]:
        """Return keys to unbind now; then report them to ``unbound`` or ``failed``."""
        return self._take(self._to_unbind, at_most, KeyState.UNBINDING)

    def bound(self, keys: Sequence[str]) -> list[str]:
        """Take note that keys are bound, and return the channels that therefore are."""
        covered: list[str] = []
        for key in keys:
            if self._states.get(key) is not KeyState.BINDING:
                continue
            self._states[key] = KeyState.BOUND
            namespace, channel = self._owner(key)
            if channel is None:
                # If it is about to go, the channels followed meanwhile have keys of their own on the way.
                if namespace.whole:
                    covered.extend(self._switch(namespace))
            elif channel in namespace.followed:
                covered.append(channel)
            if not self._needed(key):
                self._to_unbind[key] = None
        return covered

    def failed(self, keys: Sequence[str]) -> list[str]:
        """Take note that it is not known what became of keys; returns followed channels that are
        therefore not bound, and not about to be.
        """
        uncovered: list[str] = []
        for key in keys:
            state = self._states.get(key)
            if state not in {KeyState.BINDING, KeyState.UNBINDING}:
                continue
            self._states[key] = KeyState.DOUBTFUL
            if state is KeyState.UNBINDING and self._needed(key):
                self._want(key)
                continue
            self._to_unbind[key] = None
            if state is KeyState.BINDING:
                uncovered.extend(self._waiting_for(key))
        return uncovered

    def unbound(self, keys: Sequence[str]) -> None:
        """Take note that keys are not bound any more."""
        for key in keys:
            if self._states.get(key) is KeyState.UNBINDING:
                self._forget(key)
                if self._needed(key):
                    self._want(key)

    def connection_lost(self) -> list[str]:
        """Take note that nothing is bound; returns the channels that are followed no more, because
        they were in their grace.
        """
        self._states.clear()
        self._to_bind.clear()
        self._to_unbind.clear()
        for namespace in self._namespaces.values():
            namespace.exact_keys = 0
        lingering = list(self._lingering)
        for channel in lingering:
            self.abandon(channel)
        return lingering

    def rebind(self) -> None:
        """Want everything that is followed; for a new connection."""
        for namespace in self._namespaces.values():
            if namespace.whole and namespace.followed:
                self._want(namespace.pattern)
            elif not namespace.whole:
                for channel in namespace.followed:
                    self._want(routing_key_of(channel))

    def _namespace(self, name: str) -> _Namespace:
        namespace = self._namespaces.get(name)
        if namespace is None:
            namespace = self._namespaces[name] = _Namespace(name, always_whole=name in self._always_whole)
        return namespace

    def _owner(self, key: str) -> tuple[_Namespace, str | None]:
        """Return a key's namespace and channel; no channel for the key of a whole namespace."""
        channel = channel_of(key)
        namespace = self._namespace(namespace_of(channel))
        return namespace, None if key == namespace.pattern else channel

    def _covered(self, namespace: _Namespace, channel: str) -> bool:
        return (namespace.whole and self._states.get(namespace.pattern) is KeyState.BOUND) or (
            self._states.get(routing_key_of(channel)) is KeyState.BOUND
        )

    def _needed(self, key: str) -> bool:
        namespace, channel = self._owner(key)
        if channel is None:
            return namespace.whole and bool(namespace.followed)
        if channel not in namespace.followed:
            return False
        # Until the namespace's key is bound, the channel's own is what brings its publications.
        return not (namespace.whole and self._states.get(namespace.pattern) is KeyState.BOUND)

    def _keep(self, namespace: _Namespace, channel: str) -> None:
        """Cancel an unbinding that has not begun."""
        if namespace.whole and self._states.get(namespace.pattern) is KeyState.BOUND:
            self._to_unbind.pop(namespace.pattern, None)
        else:
            self._to_unbind.pop(routing_key_of(channel), None)

    def _want(self, key: str) -> None:
        state = self._states.get(key)
        if state is None:
            self._count(key, 1)
            self._states[key] = KeyState.WANTED
        elif state is KeyState.DOUBTFUL or (state is KeyState.BOUND and key in self._to_unbind):
            # What is bound is bound again too: then ``bound`` names all who wait for it.
            self._to_unbind.pop(key, None)
            self._states[key] = KeyState.WANTED_AGAIN
        else:
            return
        self._to_bind[key] = None

    def _drop(self, key: str) -> None:
        state = self._states.get(key)
        if state is KeyState.WANTED:
            del self._to_bind[key]
            self._forget(key)
        elif state is KeyState.WANTED_AGAIN:
            del self._to_bind[key]
            self._states[key] = KeyState.DOUBTFUL
            self._to_unbind[key] = None
        elif state in {KeyState.BOUND, KeyState.DOUBTFUL}:
            self._to_unbind[key] = None

    def _forget(self, key: str) -> None:
        del self._states[key]
        self._count(key, -1)

    def _count(self, key: str, by: int) -> None:
        namespace, channel = self._owner(key)
        if channel is not None:
            namespace.exact_keys += by

    def _make_whole(self, namespace: _Namespace) -> None:
        """From now on want the key of the namespace; its channels' keys go once that one is bound."""
        namespace.whole = True
        for key in self._own_keys(namespace):
            if self._states.get(key) in {KeyState.WANTED, KeyState.WANTED_AGAIN}:
                self._drop(key)
        if namespace.followed:
            self._want(namespace.pattern)

    def _own_keys(self, namespace: _Namespace) -> list[str]:
        """Return the keys of what is followed in a namespace, but for the namespace's."""
        keys = map(routing_key_of, namespace.followed)
        return [key for key in keys if key != namespace.pattern]

    def _switch(self, namespace: _Namespace) -> list[str]:
        """Give up the keys of a whole namespace's channels; returns the channels that had none.

        Where the namespace is bound whole by its option, all of them: history may have heard of that
        sooner, and packed what they missed under the namespace's key.
        """
        waited = []
        for channel in namespace.followed:
            key = routing_key_of(channel)
            bound = key != namespace.pattern and self._states.get(key) is KeyState.BOUND
            if bound:
                self._to_unbind[key] = None
            if not bound or namespace.always_whole:
                waited.append(channel)
        return waited

    def _waiting_for(self, key: str) -> list[str]:
        namespace, channel = self._owner(key)
        if channel is None:
            return [each for each in namespace.followed if not self._covered(namespace, each)]
        return [channel] if channel in namespace.followed else []

    def _take(self, queue: dict[str, None], at_most: int, state: KeyState) -> list[str]:
        keys: list[str] = []
        for key in queue:
            if len(keys) >= at_most:
                break
            keys.append(key)
        for key in keys:
            del queue[key]
            self._states[key] = state
        return keys
