"""infra/rabbitmq/definitions.json: importing it makes the very topology that the commands declare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from staging.broker import RunBroker

from warren_dev.broker import VHOST
from warren_dev.supervisor import Supervisor
from warren_shared.runtime.topology_command import apply_topology

pytestmark = pytest.mark.broker

FILE = Path(__file__).parents[2] / "infra" / "rabbitmq" / "definitions.json"
KINDS = ("exchanges", "queues", "bindings")


def moved(definitions: dict[str, Any], vhost: str) -> dict[str, Any]:
    """Return the definitions for another virtual host: one that the run deletes at its end."""
    return {
        "vhosts": [{"name": vhost}],
        **{kind: [{**each, "vhost": vhost} for each in definitions[kind]] for kind in KINDS},
    }


async def exported(broker: RunBroker, vhost: str) -> dict[str, list[dict[str, Any]]]:
    """Return what a virtual host has, in one order and without its name."""
    definitions = await broker.manage("GET", f"definitions/{vhost}")
    return {
        kind: sorted(
            ({name: value for name, value in each.items() if name != "vhost"} for each in definitions[kind]),
            key=lambda each: json.dumps(each, sort_keys=True),
        )
        for kind in KINDS
    }


def test_the_file_is_for_the_virtual_host_that_everything_else_uses() -> None:
    definitions = json.loads(FILE.read_text("utf-8"))

    assert definitions.keys() == {"vhosts", *KINDS}
    assert definitions["vhosts"] == [{"name": VHOST}]
    assert {each["vhost"] for kind in KINDS for each in definitions[kind]} == {VHOST}


async def test_importing_the_file_makes_what_provisioning_declares(
    run_broker: RunBroker, broker_supervisor: Supervisor | None
) -> None:
    assert broker_supervisor is not None or not run_broker.private
    async with run_broker.virtual_host("imported") as imported, run_broker.virtual_host("declared") as declared:
        definitions = moved(json.loads(FILE.read_text("utf-8")), imported.administrator.vhost)
        await run_broker.manage("POST", "definitions", definitions)
        await apply_topology(declared.administrator.secret())
        wanted = await exported(run_broker, declared.administrator.vhost)

        assert all(wanted.values())
        assert await exported(run_broker, imported.administrator.vhost) == wanted
        await apply_topology(imported.administrator.secret())  # it refuses whatever differs
        assert await exported(run_broker, imported.administrator.vhost) == wanted
