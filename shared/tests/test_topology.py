"""The topology's own rules."""

from __future__ import annotations

import pytest

from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.topology.catalogue import ExchangeName, namespace_bindings, topology


@pytest.mark.parametrize("partitions", [1, 4, 16])
def test_every_binding_joins_things_that_are_declared(partitions: int) -> None:
    declared = topology(partitions)
    exchanges = {exchange.name for exchange in declared.exchanges}
    queues = {queue.name for queue in declared.queues}

    for binding in declared.bindings:
        assert binding.source in exchanges
        assert binding.destination in (exchanges if binding.to_exchange else queues)


def test_queue_types_are_explicit_and_no_queue_is_transient() -> None:
    assert all("x-queue-type" in queue.arguments for queue in topology().queues)


def test_every_partition_has_a_single_active_consumer() -> None:
    partitions = [q for q in topology(3).queues if q.name[-1].isdigit()]

    assert len(partitions) == 6
    assert all(queue.arguments["x-single-active-consumer"] is True for queue in partitions)


def test_a_namespace_goes_the_live_way_or_the_durable_way_never_both() -> None:
    namespaces = parse_namespaces("namespaces: [{name: chat, history_size: 1, history_ttl: 1s}, {name: live}]")
    wanted, unwanted = namespace_bindings(namespaces)

    ways = {(binding.routing_key, binding.destination) for binding in wanted}
    assert ways == {("chat.#", ExchangeName.HISTORY), ("live.#", ExchangeName.DELIVER)}
    assert not wanted & unwanted
    assert len(unwanted) == 2
