"""Takes packs apart: each channel gets its publications as if they had come one by one."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from warren_gateway.handlers.counts import BusCounts
from warren_gateway.handlers.entries import Entry
from warren_gateway.handlers.patterns import Patterns
from warren_shared.contracts.channels import NO_NAMESPACE_WORD
from warren_shared.contracts.envelope import ContractError
from warren_shared.contracts.pack import Packed, Run, read_pack
from warren_shared.messaging.port import Delivery

_log = structlog.get_logger()


class Packs:
    """``find`` returns the channel that is followed under a routing key."""

    def __init__(
        self,
        find: Callable[[str], Entry | None],
        patterns: Patterns,
        counts: BusCounts,
        dead_letter: Callable[[Delivery, str], None],
    ) -> None:
        self._find, self._patterns, self._counts, self._dead_letter = find, patterns, counts, dead_letter

    def take(self, delivery: Delivery) -> None:
        """Take a pack that one of Warren's own services published; all of it, or nothing if it is malformed."""
        try:
            followed = self._read(delivery.body)
        except ContractError as error:
            self._count_malformed(delivery.routing_key)
            self._dead_letter(delivery, str(error))
            return
        for entry, run, publications in followed:
            try:
                if entry is not None:
                    entry.take_packed(run.epoch, publications)
                if self._patterns:
                    self._patterns.take_packed(run.key, publications)
            except Exception:  # noqa: BLE001 - a bug that one channel meets must not lose the others
                _log.exception("delivery_crashed", exchange=delivery.exchange)
                self._dead_letter(delivery, "the gateway failed to handle it")

    def _read(self, body: bytes) -> list[tuple[Entry | None, Run, list[Packed]]]:
        """Read what is followed here, and count the rest unread. Raises ContractError."""
        followed: list[tuple[Entry | None, Run, list[Packed]]] = []
        filtered: list[tuple[str, int]] = []
        total = 0
        for run in read_pack(body):
            total += run.size
            entry = self._find(run.key)
            if entry is None and not (self._patterns and self._patterns.match(run.key)):
                filtered.append((run.key, run.size))
            else:
                followed.append((entry, run, run.publications()))
        for key, publications in filtered:
            self._counts.filter_out(key, publications)
        self._counts.packs.observe(total)
        return followed

    def _count_malformed(self, key: str) -> None:
        word = key.partition(".")[0]
        counts = self._counts.by_namespace.get("" if word == NO_NAMESPACE_WORD else word)
        if counts is not None:
            counts.malformed += 1
