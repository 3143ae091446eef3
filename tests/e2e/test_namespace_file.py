"""The namespace file: changed while the suite runs, and wrong."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from clients.backend import Backend, Stream
from clients.party import Clients
from clients.sdk import connected, subscribed
from eventually import eventually
from staging.namespaces import NAMESPACES
from staging.programs import SERVICES
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
RELOADS, FAILURES = "warren_namespace_reloads_total", "warren_namespace_reload_failures_total"


@pytest.fixture(autouse=True)
async def _the_usual_file_afterwards(suite: Suite) -> AsyncIterator[None]:
    yield
    if suite.setting.namespaces_file.read_text("utf-8") != NAMESPACES:
        await replace(suite, NAMESPACES, RELOADS)


async def replace(suite: Suite, text: str, counter: str) -> None:
    """Replace the file and wait until every service has noticed."""
    before = {name: await suite.total(name, counter) for name in SERVICES}
    suite.write_namespaces(text)
    for name in SERVICES:

        async def noticed(name: str = name) -> bool:
            return await suite.total(name, counter) > before[name]

        await eventually(noticed, what=f"{counter} of {name}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (NAMESPACES + "  - name: chat\n    history_size: 1\n", "namespaces[chat]: history_size needs a history_ttl"),
        (NAMESPACES.replace("presence: true", "presense: true", 1), "namespaces[chat].presense: is no known option"),
        ("namespaces: [", "is no YAML"),
    ],
    ids=["inconsistent", "misspelt", "no YAML"],
)
async def test_an_invalid_file_is_reported_and_the_last_good_one_stays(
    suite: Suite, clients: Clients, unique: str, change: str, reason: str
) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)

    await replace(suite, change, FAILURES)

    for name in SERVICES:
        assert reason in suite.logs(name, "namespace_file_rejected")[-1]["reason"]
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), channel)
    await bob.publish(channel, "as before")
    await alice.log.until("publication", channel)


async def test_a_new_namespace_works_without_a_restart(suite: Suite, clients: Clients, unique: str) -> None:
    channel = f"{unique}-new:room"
    alice = await connected(await clients.make("python", 0, "alice"))
    await alice.subscribe(channel)
    assert (await alice.log.one("unsubscribed", channel))["code"] == 102
    options = "history_size: 10, history_ttl: 1m, force_recovery: true, allow_subscribe_for_client: true"

    await replace(suite, f"{NAMESPACES}  - {{name: {unique}-new, {options}}}\n", RELOADS)

    # Grants are compiled when a client connects, so only a new connection knows the new namespace.
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), channel)
    await published_when_bound(suite, channel)
    assert (await bob.log.one("publication", channel))["offset"] == 1


async def published_when_bound(suite: Suite, channel: str) -> None:
    """Publish one message; before that, wait until the broker leads the namespace on its way."""
    key = channel.partition(":")[0] + ".#"

    async def bound() -> bool:
        bindings = await suite.stage.run(
            suite.broker.manage("GET", f"exchanges/{suite.host.administrator.vhost}/warren.publish/bindings/source")
        )
        return key in [binding["routing_key"] for binding in bindings]

    await eventually(bound, what=f"a binding of {key}")
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, "hello")


async def test_a_live_namespace_becomes_durable_and_live_again_without_a_restart(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"switch:{unique}"
    live = "  - {name: switch, allow_subscribe_for_client: true}\n"
    durable = live.replace("}", ", history_size: 10, history_ttl: 1m, force_recovery: true}")
    await replace(suite, NAMESPACES + live, RELOADS)
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    await published_when_bound(suite, channel)
    assert (await alice.log.one("publication", channel))["offset"] is None

    since = alice.log.mark()
    await replace(suite, NAMESPACES + durable, RELOADS)
    await bound_to(suite, "warren.history")
    # What is published between being told to subscribe again and having done so is not hers.
    await alice.log.one("subscribed", channel, since=since)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), channel)
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, "durable")
    for publication in (
        await bob.log.one("publication", channel),
        await alice.log.one("publication", channel, since=since),
    ):
        assert (publication["data"], publication["offset"]) == ("durable", 1)

    since = alice.log.mark()
    await replace(suite, NAMESPACES + live, RELOADS)
    await bound_to(suite, "warren.deliver")
    await alice.log.one("subscribed", channel, since=since)
    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, "live")
    assert (await alice.log.one("publication", channel, since=since))["data"] == "live"


@pytest.mark.timeout(150)
async def test_a_namespace_that_is_bound_whole_from_now_on_or_no_longer_loses_nothing_while_services_hear_of_it(
    suite: Suite, clients: Clients, unique: str
) -> None:
    name = f"{unique}-whole"
    channel, third = f"{name}:room", 400
    durable = f"  - {{name: {name}, allow_subscribe_for_client: true, history_size: 5000, history_ttl: 1m}}\n"
    whole = durable.replace("}", ", bind_namespace: true}")
    await replace(suite, NAMESPACES + durable, RELOADS)
    everybody = [
        await subscribed(await connected(await clients.make(sdk, gateway, "alice")), channel)
        for gateway, sdk in enumerate(("python", "js"))
    ]
    await published_when_bound(suite, channel)
    stream = Stream(suite.backend_url, channel, 3 * third)
    stream.pause_at(third)
    async with asyncio.TaskGroup() as group:
        group.create_task(stream.run())
        for allowed, text in ((2 * third, whole), (3 * third, durable)):
            await stream.until(allowed - third, deadline=30)
            stream.pause_at(allowed)
            await replace(suite, NAMESPACES + text, RELOADS)

    for client in everybody:
        await client.log.until("publication", channel, count=1 + 3 * third, deadline=60)
        assert client.log.data(channel) == ["hello", *range(3 * third)]


async def bound_to(suite: Suite, exchange: str) -> None:
    """Wait until the namespace ``switch`` is led to that exchange and to no other."""

    async def led() -> bool:
        bindings = await suite.stage.run(
            suite.broker.manage("GET", f"exchanges/{suite.host.administrator.vhost}/warren.publish/bindings/source")
        )
        return [each["destination"] for each in bindings if each["routing_key"] == "switch.#"] == [exchange]

    await eventually(led, what=f"switch.# bound to {exchange} alone")


@pytest.mark.parametrize("name", ["auth", "presence", "history", "gateway-1", "console"])
async def test_no_service_starts_with_an_invalid_file_and_each_says_why_in_one_line(
    suite: Suite, tmp_path: Path, name: str
) -> None:
    wrong = tmp_path / "namespaces.yml"
    wrong.write_text("namespaces: [{name: chat, histroy_size: 10}]", "utf-8")
    program = suite.processes[name].program
    ports = {variable: "0" for variable in program.environment if variable.endswith("_PORT")}

    done = subprocess.run(  # noqa: ASYNC221 - nothing else happens in this test
        program.command,
        env={**program.environment, **ports, "WARREN_NAMESPACES_FILE": str(wrong)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 78
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[-1].endswith(f"{wrong}: namespaces[chat].histroy_size: is no known option")
    assert len(lines) == 1
