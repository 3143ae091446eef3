"""Rejected deliveries become dead letters; if the broker refuses even those, they are given up."""

from __future__ import annotations

from collections.abc import Sequence

from warren_history.domain.admission import Rejected
from warren_history.handlers.dispatch import Dispatch
from warren_history.metrics import Counts
from warren_shared.messaging.dead_letters import bare_dead_letter, dead_letter
from warren_shared.messaging.port import Delivery
from warren_shared.observability.bounded_log import BoundedLog

_SERVICE = "history"
_STEP = "dead-lettering"


class Burial:
    """Keeps what is not stored, so that it cannot hold up what is."""

    def __init__(self, dispatch: Dispatch, counts: Counts, log: BoundedLog) -> None:
        self._dispatch, self._counts, self._log = dispatch, counts, log

    async def bury(self, queue: str, rejected: Sequence[tuple[Delivery, Rejected]]) -> None:
        """Return when the broker has a dead letter of each, whole or bare, or refuses both.

        Raises BatchGivenBackError while the broker is away.
        """
        if not rejected:
            return
        letters = [dead_letter(delivery, _reason(why), _SERVICE) for delivery, why in rejected]
        refused = await self._dispatch.send(_STEP, queue, letters)
        if refused:
            await self._bury_bare(queue, [rejected[each.place] for each in refused])
        for delivery, why in rejected:
            self._counts.rejected[why.reason] += 1
            self._log.warning(
                "delivery_dead_lettered",
                queue=queue,
                key=delivery.routing_key,
                message_id=delivery.message_id,
                reason=why.reason.value,
                detail=why.detail,
            )

    async def _bury_bare(self, queue: str, rejected: Sequence[tuple[Delivery, Rejected]]) -> None:
        letters = [bare_dead_letter(delivery, _reason(why), _SERVICE) for delivery, why in rejected]
        for refused in await self._dispatch.send(_STEP, queue, letters):
            delivery, _ = rejected[refused.place]
            self._counts.dead_letters_lost += 1
            self._log.error(
                "dead_letter_lost",
                queue=queue,
                key=delivery.routing_key,
                message_id=delivery.message_id,
                reason=refused.reason,
            )


def _reason(why: Rejected) -> str:
    return f"{why.reason.value}: {why.detail}"
