"""Which way the publications of a namespace go."""

from __future__ import annotations

from warren_history.domain.routes import NamespaceRoutes
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.topology.declarations import Binding

LIVE = Binding("warren.publish", "warren.deliver", "chat.#", to_exchange=True)
DURABLE = Binding("warren.publish", "warren.history", "chat.#", to_exchange=True)


def test_a_durable_namespace_goes_through_history_alone() -> None:
    routes = NamespaceRoutes(parse_namespaces("namespaces: [{name: chat, history_size: 1, history_ttl: 1m}]"))
    assert routes.plan() == (frozenset({DURABLE}), frozenset({LIVE}))


def test_a_live_namespace_goes_past_history() -> None:
    routes = NamespaceRoutes(parse_namespaces("namespaces: [{name: chat}]"))
    assert routes.plan() == (frozenset({LIVE}), frozenset({DURABLE}))


def test_a_namespace_that_left_the_file_loses_both_ways() -> None:
    routes = NamespaceRoutes(parse_namespaces("namespaces: [{name: chat}]"))
    routes.use(parse_namespaces("namespaces: []"))
    assert routes.plan() == (frozenset(), frozenset({LIVE, DURABLE}))


def test_a_namespace_that_comes_back_is_bound_again() -> None:
    routes = NamespaceRoutes(parse_namespaces("namespaces: [{name: chat}]"))
    routes.use(parse_namespaces("namespaces: []"))
    routes.use(parse_namespaces("namespaces: [{name: chat, history_size: 1, history_ttl: 1m}]"))
    assert routes.plan() == (frozenset({DURABLE}), frozenset({LIVE}))
