"""Subscriptions to patterns: what is published on any channel that one matches, as it comes.

They have no position, and history is not read for them: what does not arrive here is missed, and what history delivers
again comes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from warren_gateway.domain.pattern_trie import PatternTrie
from warren_gateway.domain.publications import (
    Publication,
    durable_publication,
    live_publication,
    packed_publication,
)
from warren_gateway.handlers.entries import DELIVER, LiveEntry
from warren_shared.contracts.channels import ChannelNameError, channel_of, check_channel, is_private, users_of
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.pack import Packed
from warren_shared.contracts.publication import DeliverType
from warren_shared.messaging.port import Delivery

_PUBLICATIONS = frozenset({None, "", DeliverType.PUBLICATION.value})


class PatternEntry(LiveEntry):
    """One pattern that somebody is subscribed to."""

    def read(self, delivery: Delivery) -> Publication:
        """Return what a delivery of one of its channels says. Raises ContractError."""
        data_format, trace = self.options.publication_data_format, self._trace_of(delivery.headers)
        if self.options.durable:
            return durable_publication(delivery.body, delivery.headers, data_format, trace)[1]
        return live_publication(delivery.body, delivery.headers, data_format, trace)

    def read_packed(self, packed: Packed) -> Publication:
        """Return what a publication of a pack says."""
        trace = self._trace_of(packed.headers) if packed.headers else None
        return packed_publication(packed, self.options.publication_data_format, trace)

    def reject(self, delivery: Delivery, reason: str) -> None:
        """Keep a delivery that cannot be used, with the reason."""
        self._reject(delivery, reason)

    def show(self, publication: Publication) -> None:
        """Have a publication, which names its channel, written to everybody."""
        if self.line.audience.size:
            self._publish(publication)


class Patterns:
    """The patterns of a gateway, and what becomes of deliveries that they match."""

    def __init__(self) -> None:
        self._trie: PatternTrie[PatternEntry] = PatternTrie()

    def __bool__(self) -> bool:
        return len(self._trie) > 0

    def add(self, entry: PatternEntry) -> None:
        """Have a pattern's subscribers shown what it matches."""
        self._trie.put(entry.key, entry)

    def remove(self, entry: PatternEntry) -> None:
        """Have them shown nothing any more."""
        self._trie.remove(entry.key)

    def match(self, key: str) -> bool:
        """Whether any pattern matches what is published under a routing key."""
        return bool(self._matching(key)[0])

    def take(self, delivery: Delivery, *, alone: bool) -> bool:
        """Show a delivery to those whose patterns match it; returns whether any does.

        One that cannot be used becomes a dead letter if nobody else takes it: ``alone``.
        """
        entries, channel = self._matching(delivery.routing_key)
        if not entries or (delivery.exchange == DELIVER and delivery.type not in _PUBLICATIONS):
            return bool(entries)
        durable = entries[0].options.durable
        if durable and delivery.exchange != DELIVER:
            return True  # on its way to history, from where it will come
        try:
            publication = entries[0].read(delivery)
        except ContractError as error:
            if alone:
                entries[0].reject(delivery, str(error))
            return True
        _show(entries, channel, publication)
        return True

    def take_packed(self, key: str, publications: Iterable[Packed]) -> None:
        """Show publications of a pack, all of the channel of ``key``."""
        entries, channel = self._matching(key)
        if entries:
            for packed in publications:
                _show(entries, channel, entries[0].read_packed(packed))

    def _matching(self, key: str) -> tuple[Sequence[PatternEntry], str]:
        entries = self._trie.match(key)
        if not entries:
            return (), ""
        try:
            channel = channel_of(key)
            check_channel(channel)
        except ChannelNameError:
            return (), ""
        if is_private(channel) or users_of(channel) is not None:
            return (), ""  # who may have these is decided by their names
        return entries, channel


def _show(entries: Sequence[PatternEntry], channel: str, publication: Publication) -> None:
    publication.channel = channel
    for entry in entries:
        entry.show(publication)
