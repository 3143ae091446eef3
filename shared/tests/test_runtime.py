"""The life of a service process, and what it answers mistakes with."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from warren_shared.contracts.namespaces import Namespaces
from warren_shared.observability.metrics import MetricSpec, Reading
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.namespace_watcher import RELOAD_FAILURES, NamespaceWatcher
from warren_shared.runtime.ops import OpsServer

DEADLINE = 15.0

SERVICE = """
import sys
from contextlib import asynccontextmanager
from warren_shared.runtime.service import run
from warren_shared.runtime.settings import ServiceSettings, service_config

class Settings(ServiceSettings):
    model_config = service_config("sample")

@asynccontextmanager
async def build(context, settings):
    print("built", flush=True)
    yield
    print("drained", flush=True)

sys.exit(run("sample", Settings, build, uses_bus=False))
"""


@pytest.fixture
def namespace_file(tmp_path: Path) -> Path:
    file = tmp_path / "namespaces.yml"
    file.write_text("namespaces: [{name: chat}]")
    return file


async def start(tmp_path: Path, **environment: str) -> asyncio.subprocess.Process:
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    return await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )  # fmt: skip


async def test_a_service_drains_on_sigterm_and_ends_with_zero(tmp_path: Path, namespace_file: Path) -> None:
    process = await start(tmp_path, WARREN_NAMESPACES_FILE=str(namespace_file))
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(DEADLINE):
        while b"service_started" not in await process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()

    assert (process.returncode, out) == (0, b"built\ndrained\n")
    assert json.loads(err.splitlines()[-1])["event"] == "service_stopped"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WARREN_SAMPLE_PARTITIONS": "none"}, "WARREN_SAMPLE_PARTITIONS: "),
        ({"WARREN_PARTITIONS": "none"}, "WARREN_PARTITIONS: "),
        ({"WARREN_NAMESPACES_FILE": "/nowhere.yml"}, "namespace file /nowhere.yml"),
        ({"WARREN_OPS_PORT": "{taken}"}, "ops port 127.0.0.1:{taken}: "),
    ],
)
async def test_a_mistake_at_start_is_one_line_and_exit_code_78(
    tmp_path: Path, namespace_file: Path, variables: dict[str, str], message: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environment = {name: value.replace("{taken}", port) for name, value in variables.items()}
        process = await start(tmp_path, **{"WARREN_NAMESPACES_FILE": str(namespace_file), **environment})
        async with asyncio.timeout(DEADLINE):
            _, err = await process.communicate()

    assert process.returncode == 78
    assert err.decode().startswith("warren-sample: " + message.replace("{taken}", port))
    assert err.count(b"\n") == 1


def test_an_invalid_change_of_the_namespace_file_keeps_the_last_good_one(namespace_file: Path) -> None:
    watcher = NamespaceWatcher(namespace_file)
    told: list[Namespaces] = []
    watcher.subscribe(told.append)

    namespace_file.write_text("namespaces: [{name: chat, histori_size: 1}]")
    read_twice(watcher)
    assert (list(watcher.current), told) == (["chat"], [])

    namespace_file.write_text("namespaces: [{name: chat}, {name: live}]")
    read_twice(watcher)
    assert list(watcher.current) == ["chat", "live"]
    assert told == [watcher.current]
    assert [reading.value for reading in watcher.readings()] == [1, 1]


def test_a_namespace_file_that_is_gone_is_counted_once_and_keeps_the_last_good_one(namespace_file: Path) -> None:
    watcher = NamespaceWatcher(namespace_file)
    text = namespace_file.read_text()

    namespace_file.unlink()
    watcher.look()
    watcher.look()
    assert (list(watcher.current), failures(watcher)) == (["chat"], 1)

    namespace_file.write_text(text)
    watcher.look()
    namespace_file.unlink()
    watcher.look()
    assert failures(watcher) == 2


def failures(watcher: NamespaceWatcher) -> float:
    (value,) = (reading.value for reading in watcher.readings() if reading.spec == RELOAD_FAILURES)
    return value


def read_twice(watcher: NamespaceWatcher) -> None:
    watcher.reload()
    watcher.reload()


def test_a_namespace_file_that_is_being_written_is_not_taken_over(namespace_file: Path) -> None:
    watcher = NamespaceWatcher(namespace_file)
    watcher.subscribe(lambda _: pytest.fail("half of a file was taken over"))
    whole = namespace_file.read_text("utf-8")
    for half in ("", "namespaces: []", "namespaces: [{name: live}]", whole):
        namespace_file.write_text(half)
        watcher.reload()

    assert list(watcher.current) == ["chat"]
    assert [reading.value for reading in watcher.readings()] == [0, 0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("without_namespace: {}", "namespaces: Field required"),
        ("namespaces: []", "names none any more"),
        ("{namespaces: [], without_namespace: {}}", "names none any more"),
    ],
)
def test_a_namespace_file_that_was_emptied_is_refused_and_ends_nothing(
    namespace_file: Path, text: str, reason: str
) -> None:
    watcher = NamespaceWatcher(namespace_file)
    watcher.subscribe(lambda _: pytest.fail("every namespace is gone"))
    namespace_file.write_text(text)
    with capture_logs() as logs:
        read_twice(watcher)
        watcher.reload()

    assert list(watcher.current) == ["chat"]
    (line,) = logs
    assert (line["event"], reason in line["reason"]) == ("namespace_file_rejected", True)


def test_a_file_that_did_not_change_is_not_taken_over_again(namespace_file: Path) -> None:
    watcher = NamespaceWatcher(namespace_file)
    watcher.subscribe(lambda _: pytest.fail("nothing changed"))
    watcher.reload()


@pytest.mark.parametrize("text", ["namespaces: 3", "\x00"])
def test_an_invalid_file_at_start_refuses_to_start(namespace_file: Path, text: str) -> None:
    namespace_file.write_text(text)
    with pytest.raises(StartupError, match="namespace file"):
        NamespaceWatcher(namespace_file)


async def test_readiness_tells_which_condition_is_missing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ops, ready = OpsServer("127.0.0.1", port), False
    ops.add_readiness("broker", lambda: ready)
    ops.add_metrics(lambda: [Reading(MetricSpec("warren_sample", "gauge", "A sample."), 3)])
    async with ops.serving(), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/readyz") as answer:
            assert (answer.status, (await answer.json())["checks"]) == (503, {"broker": False})
        async with session.get("/metrics") as answer:
            assert 'warren_ready{check="broker"} 0.0' in await answer.text()
        ready = True
        async with session.get("/readyz") as answer:
            assert answer.status == 200
        async with session.get("/livez") as answer:
            assert answer.status == 200
        async with session.get("/metrics") as answer:
            text = await answer.text()
            assert "warren_sample 3.0" in text
            assert 'warren_ready{check="broker"} 1.0' in text
