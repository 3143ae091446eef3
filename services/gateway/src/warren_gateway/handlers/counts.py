"""What the bus side counts, in plain integers that are read when metrics are scraped."""

from __future__ import annotations

from typing import Final

from warren_gateway.domain.fanout import Tally
from warren_shared.contracts.channels import ChannelNameError, channel_of, check_channel
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.observability.metrics import Histogram

PACK_SIZES: Final = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
FANOUT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class NamespaceCounts(Tally):
    """Counts of one namespace; every channel of it adds to the same object."""

    __slots__ = (
        "duplicates",
        "gaps",
        "healed",
        "insufficient",
        "malformed",
        "reads",
        "recovered",
        "shared_reads",
        "unrecovered",
    )

    def __init__(self) -> None:
        super().__init__()
        self.duplicates = self.gaps = self.healed = self.insufficient = self.malformed = 0
        self.recovered = self.unrecovered = self.reads = self.shared_reads = 0


class BusCounts:
    """All counts of a gateway's bus side."""

    def __init__(self) -> None:
        self.by_namespace: dict[str, NamespaceCounts] = {}
        self.filtered = 0
        """Publications on channels that are not followed here."""
        self.no_channel = 0
        """Those of them under a key that is no channel's."""
        self.packs = Histogram(PACK_SIZES)
        self.dead_letters = 0
        self.dead_letters_suppressed = 0
        self.fanout_seconds = Histogram(FANOUT_SECONDS)
        self.longest_stall = 0.0
        """Seconds, since it was last scraped."""

    def know(self, namespaces: Namespaces) -> None:
        """Count these namespaces from 0 on, so that the first of anything shows as an increase."""
        for namespace in namespaces:
            self.of(namespace)

    def filter_out(self, key: str, publications: int = 1) -> None:
        """Count what nobody here wants; cheap, because whole namespaces are filtered so."""
        self.filtered += publications
        ordinary = "." in key and "*" not in key and "#" not in key and key.isascii() and key.isprintable()
        if not ordinary and not _is_channels(key):
            self.no_channel += publications

    def of(self, namespace: str) -> NamespaceCounts:
        """Return the counts of a namespace."""
        counts = self.by_namespace.get(namespace)
        if counts is None:
            counts = self.by_namespace[namespace] = NamespaceCounts()
        return counts


def _is_channels(key: str) -> bool:
    try:
        check_channel(channel_of(key))
    except ChannelNameError:
        return False
    return True
