"""What a run stands on: how many nodes the broker has, and where history keeps its store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BROKER: Final = "rabbitmq"
GATEWAYS: Final = ("gateway-1", "gateway-2")
HISTORY: Final = "history"
SPARE: Final = "history-2"
"""The second history process, where two can share a store."""


class StoreKind(StrEnum):
    """Where history keeps what it stores."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


@dataclass(frozen=True, slots=True)
class Layout:
    """The choices of a run."""

    cluster: bool = False
    """Whether the broker has three nodes."""
    store: StoreKind = StoreKind.SQLITE

    @property
    def histories(self) -> tuple[str, ...]:
        """The history processes."""
        return (HISTORY, SPARE) if self.store is StoreKind.POSTGRES else (HISTORY,)

    @property
    def to_broker(self) -> tuple[str, ...]:
        """The links from services to the broker."""
        return tuple(f"{service} to broker" for service in (*self.histories, *GATEWAYS))

    @property
    def to_database(self) -> tuple[str, ...]:
        """The links from history to its store, where that is a server."""
        if self.store is not StoreKind.POSTGRES:
            return ()
        return tuple(f"{history} to postgres" for history in self.histories)

    @property
    def of_clients(self) -> tuple[str, ...]:
        """The links from clients to gateways."""
        return tuple(f"clients to {gateway}" for gateway in GATEWAYS)

    @property
    def options(self) -> str:
        """What to give ``make chaos`` to have it again."""
        return (" CLUSTER=1" if self.cluster else "") + (f" STORE={self.store}" if self.to_database else "")
