"""Which of a batch's publications leave together, and in what order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from warren_history.handlers.egress import Leaving, numbered, pack, packed
from warren_shared.contracts.channels import namespace_key
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.contracts.pack import PackWriter
from warren_shared.messaging.port import Outgoing


class Parcel(NamedTuple):
    """A message to the gateways."""

    message: Outgoing
    inside: tuple[Leaving, ...]
    """The publications it carries: one, or several in a pack."""

    @property
    def is_pack(self) -> bool:
        """Whether it carries several."""
        return len(self.inside) > 1

    def apart(self) -> Sequence[Outgoing]:
        """Return a pack's publications as messages of their own."""
        return [numbered(each) for each in self.inside] if self.is_pack else ()


class Packing:
    """Packs the publications of a channel together; and those of a namespace, if gateways bind it whole.

    Without ``enabled`` every publication is a message of its own.
    """

    def __init__(self, namespaces: Namespaces, *, enabled: bool) -> None:
        self._whole = frozenset(
            namespace_key(name) for name, options in namespaces.by_name.items() if options.bind_namespace
        )
        self._enabled = enabled

    def parcels(self, batch: Sequence[Leaving]) -> list[Parcel]:
        """Return what is to be sent, in this order: then that of every channel is kept."""
        if not self._enabled or len(batch) == 1:
            return [_alone(leaving) for leaving in batch]
        together: dict[str, list[Leaving]] = {}
        for leaving in batch:
            together.setdefault(self._key(leaving.delivery.routing_key), []).append(leaving)
        return [parcel for key, group in together.items() for parcel in _cut(key, group)]

    def _key(self, channel_key: str) -> str:
        """Return the routing key under which a channel's publications are packed."""
        first_word = channel_key.partition(".")[0]
        return first_word if first_word in self._whole else channel_key


def _cut(key: str, group: Sequence[Leaving]) -> Iterator[Parcel]:
    """Yield the packs of a group. What no pack takes leaves between them, in its turn."""
    if len(group) == 1:
        yield _alone(group[0])
        return
    writer, inside = PackWriter(), list[Leaving]()
    for leaving in group:
        content = packed(leaving)
        if content is not None and _add(writer, leaving, content):
            inside.append(leaving)
            continue
        if inside:
            yield _closed(key, writer, inside)
            writer, inside = PackWriter(), []
        if content is None:
            yield _alone(leaving)
        else:
            _add(writer, leaving, content)
            inside.append(leaving)
    if inside:
        yield _closed(key, writer, inside)


def _add(writer: PackWriter, leaving: Leaving, content: bytes) -> bool:
    return writer.add(leaving.delivery.routing_key, leaving.appended.epoch, content)


def _closed(key: str, writer: PackWriter, inside: Sequence[Leaving]) -> Parcel:
    return _alone(inside[0]) if len(inside) == 1 else Parcel(pack(key, writer.body()), tuple(inside))


def _alone(leaving: Leaving) -> Parcel:
    return Parcel(numbered(leaving), (leaving,))
