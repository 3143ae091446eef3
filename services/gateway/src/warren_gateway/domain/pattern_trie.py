"""Which patterns a routing key matches, at a cost that the patterns it does not match have no part in.

Words are matched as a topic exchange does (AMQP 0-9-1 section 3.1.3.3): ``*`` is one word, ``#`` any number, none
included.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

T = TypeVar("T")
_ONE: Final = "*"
_ANY: Final = "#"
_WILDCARDS: Final = frozenset({_ONE, _ANY})


class _Node(Generic[T]):
    __slots__ = ("any", "children", "one", "repeats", "value")

    def __init__(self, *, repeats: bool = False) -> None:
        self.children: dict[str, _Node[T]] = {}
        """By word, wildcards among them."""
        self.one: _Node[T] | None = None
        """The child for ``*``."""
        self.any: _Node[T] | None = None
        """The child for ``#``."""
        self.repeats = repeats
        """Whether it is a ``#``, which takes further words."""
        self.value: T | None = None

    def child(self, word: str) -> _Node[T]:
        """Return the child for a pattern's word, made if it is not there."""
        found = self.children.get(word)
        if found is None:
            found = self.children[word] = _Node(repeats=word == _ANY)
            self._wildcard(word, found)
        return found

    def drop(self, word: str) -> None:
        """Forget the child for a pattern's word."""
        del self.children[word]
        self._wildcard(word, None)

    def _wildcard(self, word: str, child: _Node[T] | None) -> None:
        if word == _ONE:
            self.one = child
        elif word == _ANY:
            self.any = child


class PatternTrie(Generic[T]):
    """Patterns, each with a value."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, pattern: str, value: T) -> None:
        """Add a pattern, or give it another value."""
        node = self._root
        for word in pattern.split("."):
            node = node.child(word)
        self._size += node.value is None
        node.value = value

    def remove(self, pattern: str) -> None:
        """Take a pattern out; does nothing if it is not there."""
        path, node = [], self._root
        for word in pattern.split("."):
            child = node.children.get(word)
            if child is None:
                return
            path.append((node, word))
            node = child
        self._size -= node.value is not None
        node.value = None
        for parent, word in reversed(path):
            child = parent.children[word]
            if child.value is not None or child.children:
                return
            parent.drop(word)

    def match(self, key: str) -> list[T]:
        """Return the values of the patterns that match a routing key, each once, in no order."""
        active: list[_Node[T]] = []
        _reach(self._root, active)
        for word in key.split("."):
            active = _after(active, word)
            if not active:
                return []
        return [node.value for node in active if node.value is not None]


def _after(active: list[_Node[T]], word: str) -> list[_Node[T]]:
    """Return where one more word leads."""
    reached: list[_Node[T]] = []
    # A word of the key that is itself "*" or "#" is no wildcard, and no pattern has it as a word.
    ordinary = word not in _WILDCARDS
    for node in active:
        if node.repeats:
            reached.append(node)
        if ordinary and (child := node.children.get(word)) is not None:
            _reach(child, reached)
        if node.one is not None:
            _reach(node.one, reached)
    return reached if len(reached) < 2 else list(dict.fromkeys(reached))


def _reach(node: _Node[T], reached: list[_Node[T]]) -> None:
    """Add a node and the ``#`` behind it, which may stand for no word."""
    reached.append(node)
    following = node.any
    while following is not None:
        reached.append(following)
        following = following.any
