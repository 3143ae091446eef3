"""Sending what a batch stored on to the gateways."""

from __future__ import annotations

from collections.abc import Sequence

from warren_history.handlers.dispatch import Dispatch
from warren_history.handlers.egress import Leaving
from warren_history.handlers.packing import Packing
from warren_history.metrics import Counts
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.observability.bounded_log import BoundedLog


class Delivering:
    """Publishes to ``warren.deliver``, with ``pack`` several publications in one message."""

    def __init__(
        self, dispatch: Dispatch, namespaces: Namespaces, *, pack: bool, counts: Counts, log: BoundedLog
    ) -> None:
        self._dispatch, self._counts, self._log = dispatch, counts, log
        self._pack = pack
        self._packing = Packing(namespaces, enabled=pack)

    def use(self, namespaces: Namespaces) -> None:
        """Pack the next batches under new namespaces."""
        self._packing = Packing(namespaces, enabled=self._pack)

    async def deliver(self, queue: str, batch: Sequence[Leaving]) -> None:
        """Return when the broker has every publication of a batch, or refuses it.

        A pack that is refused is sent publication by publication, so that one that cannot be sent takes
        no other along. Raises BatchGivenBackError while the broker is away.
        """
        parcels = self._packing.parcels(batch)
        messages = [parcel.message for parcel in parcels]
        for refused in await self._dispatch.send("delivery", queue, messages, lambda place: parcels[place].apart()):
            self._not_sent(queue, parcels[refused.place].inside[refused.part], refused.reason)
        for parcel in parcels:
            if parcel.is_pack:
                self._counts.packs.observe(len(parcel.inside))

    def _not_sent(self, queue: str, leaving: Leaving, reason: str) -> None:
        # Stored it is: gateways see the gap it leaves, and fill it by a read.
        self._counts.unsent += 1
        self._log.error(
            "publication_not_sent",
            queue=queue,
            key=leaving.delivery.routing_key,
            offset=leaving.appended.offset,
            reason=reason,
        )
