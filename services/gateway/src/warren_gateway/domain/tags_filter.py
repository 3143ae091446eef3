"""Which publications a subscriber wants to see, by their tags (client protocol: FilterNode).

A filter is a tree: leaves compare one tag, inner nodes combine others with ``and``, ``or`` and ``not``. A tag that a
publication has not equals nothing, so ``neq``, ``nin`` and ``nex`` hold of it and everything else does not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

Tags = Mapping[str, str]
Matches = Callable[[Tags], bool]

MOST_NODES: Final = 64
"""Nodes of a filter, and with that its depth: it is evaluated for each publication of its channel."""
MOST_VALUES: Final = 256
"""Of all leaves together."""
MOST_BYTES: Final = 16_384
"""Of all keys and values together."""

_NUMBERS: Final[Mapping[str, Callable[[Decimal, Decimal], bool]]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
_TEXTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "sw": str.startswith,
    "ew": str.endswith,
    "ct": operator.contains,
}
_SETS: Final = ("in", "nin")
_NEGATIVE: Final = ("neq", "nin", "nex")
_COMBINATIONS: Final = ("and", "or", "not")


class TagsFilterError(ValueError):
    """The filter cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class FilterNode:
    """A filter as the client wrote it. Equal filters are the same to everybody they are evaluated for."""

    op: str = ""
    """Empty: a leaf."""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: tuple[str, ...] = ()
    nodes: tuple[FilterNode, ...] = ()

    def walk(self) -> Iterator[FilterNode]:
        """Return this node and all below it, without recursion."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.nodes)


class TagsFilter:
    """A filter that was checked. Two are equal if their trees are."""

    __slots__ = ("_hash", "_node", "matches")

    def __init__(self, node: FilterNode) -> None:
        """Raises TagsFilterError for one that means nothing, or is larger than may be."""
        _check_size(node)
        self._node = node
        self._hash = hash(node)
        self.matches: Matches = _matches(node)
        """Whether a publication with these tags is wanted."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TagsFilter) and self._node == other._node

    def __hash__(self) -> int:
        return self._hash


def _check_size(node: FilterNode) -> None:
    values = size = 0
    for nodes, each in enumerate(node.walk(), 1):
        values += len(each.vals)
        size += sum(map(len, (each.key, each.val, *each.vals)))
        if nodes > MOST_NODES or values > MOST_VALUES or size > MOST_BYTES:
            raise TagsFilterError(f"more than {MOST_NODES} nodes, {MOST_VALUES} values or {MOST_BYTES} bytes")


def _matches(node: FilterNode) -> Matches:
    if not node.op:
        return _leaf(node)
    if node.op not in _COMBINATIONS:
        raise TagsFilterError(f"op {node.op[:16]!r} is not known")
    inner = [_matches(each) for each in node.nodes]
    if not inner or (node.op == "not" and len(inner) > 1):
        raise TagsFilterError(f"{node.op!r} with {len(inner)} nodes")
    if node.op == "not":
        (negated,) = inner
        return lambda tags: not negated(tags)
    if node.op == "and":
        return lambda tags: all(each(tags) for each in inner)
    return lambda tags: any(each(tags) for each in inner)


def _leaf(node: FilterNode) -> Matches:
    key, without = node.key, node.cmp in _NEGATIVE
    if not key or node.nodes:
        raise TagsFilterError("a comparison needs a key, and has no nodes")
    holds = _comparison(node)
    return lambda tags: without if (tag := tags.get(key)) is None else holds(tag)


def _comparison(node: FilterNode) -> Callable[[str], bool]:
    """Return what is to hold of a tag that is there."""
    cmp, value = node.cmp, node.val
    if cmp == "eq":
        return lambda tag: tag == value
    if cmp == "neq":
        return lambda tag: tag != value
    if cmp in ("ex", "nex"):
        return lambda _: cmp == "ex"
    if cmp in _SETS:
        values = frozenset(node.vals)
        return (lambda tag: tag in values) if cmp == "in" else (lambda tag: tag not in values)
    if cmp in _TEXTS:
        text = _TEXTS[cmp]
        return lambda tag: text(tag, value)
    if cmp in _NUMBERS:
        return _numeric(_NUMBERS[cmp], value)
    raise TagsFilterError(f"cmp {cmp[:16]!r} is not known")


def _numeric(compare: Callable[[Decimal, Decimal], bool], value: str) -> Callable[[str], bool]:
    bound = _number(value)
    if bound is None:
        raise TagsFilterError(f"val {value[:16]!r} is no number")
    return lambda tag: (number := _number(tag)) is not None and compare(number, bound)


def _number(text: str) -> Decimal | None:
    """Return an exact number: a price that is read into a float is another price."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
