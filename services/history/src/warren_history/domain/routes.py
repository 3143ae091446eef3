"""Which way the publications of each namespace go through the broker."""

from __future__ import annotations

from warren_shared.contracts.namespaces import Namespaces
from warren_shared.topology.catalogue import namespace_bindings
from warren_shared.topology.declarations import Binding


class NamespaceRoutes:
    """The bindings that must and must not exist; remembers namespaces that are gone.

    A namespace that left the file has both its ways removed, so publishing to it is unroutable
    again and kept as a dead letter. Those that left while no history ran stay bound.
    """

    def __init__(self, namespaces: Namespaces) -> None:
        self._wanted: frozenset[Binding] = frozenset()
        self._ever: set[Binding] = set()
        self.use(namespaces)

    def use(self, namespaces: Namespaces) -> None:
        """Route under new namespaces."""
        self._wanted, unwanted = namespace_bindings(namespaces)
        self._ever |= self._wanted | unwanted

    def plan(self) -> tuple[frozenset[Binding], frozenset[Binding]]:
        """Return (bindings that must exist, bindings that must not)."""
        return self._wanted, frozenset(self._ever - self._wanted)
