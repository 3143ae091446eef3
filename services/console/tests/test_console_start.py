"""How the console is configured and started, and what keeps it from starting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from warren_console.adapters.sdk_file import find_sdk
from warren_console.bootstrap import build
from warren_console.domain.hosts import LOOPBACK_NAMES
from warren_console.domain.spans import Span
from warren_console.domain.traces import TraceStore
from warren_console.metrics import CATALOGUE, Counters, collector
from warren_console.settings import ConsoleSettings
from warren_shared.messaging.port import Bus
from warren_shared.observability.tracing import Tracing
from warren_shared.runtime.clock import SystemClock
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.namespace_watcher import NamespaceWatcher
from warren_shared.runtime.ops import OpsServer
from warren_shared.runtime.service import Context
from warren_shared.runtime.settings import load_settings

SECRET = "s" * 32


class NoBus:
    """Stands for the bus, which the console must not touch."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the console used the bus: {name}")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sdk: Path) -> pytest.MonkeyPatch:
    """An environment in which the console starts, on a free port."""
    namespaces = tmp_path / "namespaces.yml"
    namespaces.write_text("namespaces: [{name: chat, allow_subscribe_for_client: true}]\n")
    monkeypatch.setenv("WARREN_NAMESPACES_FILE", str(namespaces))
    monkeypatch.setenv("WARREN_CONSOLE_PORT", str(free_port()))
    monkeypatch.setenv("WARREN_CONSOLE_SDK_FILE", str(sdk))
    return monkeypatch


def context(settings: ConsoleSettings, tasks: asyncio.TaskGroup) -> Context:
    bus: Bus = NoBus()  # type: ignore[assignment]  # any use of it fails the test
    ops = OpsServer("127.0.0.1", 0)
    return Context(bus, NamespaceWatcher(settings.namespaces_file), SystemClock(), tasks, ops, Tracing(None))


async def start_and_ask(path: str) -> tuple[int, Mapping[str, object]]:
    """Start the console as the environment says, ask for a JSON document, and stop it."""
    settings = load_settings(ConsoleSettings)
    url = f"http://127.0.0.1:{settings.port}{path}"
    async with (
        asyncio.TaskGroup() as tasks,
        build(context(settings, tasks), settings),
        aiohttp.ClientSession() as session,
        session.get(url) as response,
    ):
        return response.status, await response.json()


@pytest.mark.usefixtures("environment")
async def test_it_serves_while_it_runs_and_frees_the_port_when_it_stops() -> None:
    for _ in range(2):
        status, config = await start_and_ask("/config.json")
        assert (status, config["dev_tokens"]) == (200, False)


async def test_a_taken_port_is_one_clear_line(environment: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment.setenv("WARREN_CONSOLE_PORT", str(taken.getsockname()[1]))
        settings = load_settings(ConsoleSettings)
        with pytest.raises(BaseExceptionGroup) as raised:
            async with asyncio.TaskGroup() as tasks, build(context(settings, tasks), settings):
                pytest.fail("it started on a port that is taken")
    [error] = raised.value.exceptions
    assert isinstance(error, StartupError)
    assert str(settings.port) in str(error)


async def test_development_tokens_are_offered_loudly(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WARREN_CONSOLE_DEV_TOKEN_SECRET", SECRET)
    with capture_logs() as logs:
        status, answer = await start_and_ask("/dev/token?user=alice")
    assert (status, answer["expires_in"]) == (200, 3600)
    [offered] = [log for log in logs if log["event"] == "dev_tokens_offered"]
    assert offered["log_level"] == "warning"
    assert SECRET not in str(logs)


async def test_the_secret_may_lie_in_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    environment.setenv("WARREN_CONSOLE_DEV_TOKEN_SECRET_FILE", str(secret))
    assert (await start_and_ask("/dev/token?user=alice"))[0] == 200


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DEV_TOKEN_SECRET", "short", "at least 32 bytes"),
        ("DEV_TOKEN_SECRET_FILE", "/no/such/file", "DEV_TOKEN_SECRET_FILE"),
        ("SDK_FILE", "/no/such/file", "SDK_FILE"),
    ],
)
async def test_a_wrong_setting_keeps_it_from_starting(
    environment: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    environment.setenv(f"WARREN_CONSOLE_{name}", value)
    settings = load_settings(ConsoleSettings)
    with pytest.raises(BaseExceptionGroup) as raised:
        async with asyncio.TaskGroup() as tasks, build(context(settings, tasks), settings):
            pytest.fail("it started")
    assert said in str(raised.value.exceptions[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_URLS", "http://localhost:8000"),
        ("GATEWAY_URLS", "ws://localhost:8000/connection/websocket,nonsense"),
        ("PORT", "99999"),
        ("TRACES_KEPT", "0"),
        ("DEV_TOKEN_TTL_SECONDS", "1"),
    ],
)
def test_an_illegal_value_names_its_variable(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(f"WARREN_CONSOLE_{name}", value)
    with pytest.raises(StartupError, match=f"WARREN_CONSOLE_{name}"):
        load_settings(ConsoleSettings)


def test_the_secret_is_given_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WARREN_CONSOLE_DEV_TOKEN_SECRET", SECRET)
    environment.setenv("WARREN_CONSOLE_DEV_TOKEN_SECRET_FILE", "/some/file")
    with pytest.raises(StartupError, match="exclude one another"):
        load_settings(ConsoleSettings)


def test_lists_are_separated_by_commas(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WARREN_CONSOLE_GATEWAY_URLS", "ws://a.example/x, wss://{host}/y ,")
    environment.setenv("WARREN_CONSOLE_ALLOWED_HOSTS", "Console.Internal,localhost")
    settings = load_settings(ConsoleSettings)
    assert settings.gateway_urls == ("ws://a.example/x", "wss://{host}/y")
    assert settings.hosts == {"console.internal", "localhost"}


@pytest.mark.parametrize(
    ("host", "secret", "expected"),
    [
        ("127.0.0.1", "", LOOPBACK_NAMES),
        ("0.0.0.0", "", frozenset()),
        ("0.0.0.0", SECRET, LOOPBACK_NAMES),
    ],
)
def test_which_names_it_answers_to_by_default(
    environment: pytest.MonkeyPatch, host: str, secret: str, expected: frozenset[str]
) -> None:
    environment.setenv("WARREN_CONSOLE_HOST", host)
    environment.setenv("WARREN_CONSOLE_DEV_TOKEN_SECRET", secret)
    assert load_settings(ConsoleSettings).hosts == expected


def test_the_sdk_is_found_in_a_parent_of_the_first_folder_that_has_it(tmp_path: Path) -> None:
    package = tmp_path / "node_modules" / "centrifuge" / "dist"
    package.mkdir(parents=True)
    (package / "centrifuge.js").touch()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_sdk(None, [Path("/proc"), deep]) == (package / "centrifuge.js").resolve()


def test_a_missing_sdk_says_how_to_get_it() -> None:
    with pytest.raises(StartupError, match="npm ci"):
        find_sdk(None, [Path("/proc")])


def test_every_metric_of_the_catalogue_is_read() -> None:
    store = TraceStore()
    store.add([Span("a" * 32, "b" * 16, "step", "gateway", 0, 1)])
    readings = {reading.spec.name: reading.value for reading in collector(store, Counters(dev_tokens=2))()}
    assert set(readings) == {spec.name for spec in CATALOGUE}
    assert readings["warren_console_traces"] == 1
    assert readings["warren_console_spans_received"] == 1
    assert readings["warren_console_trace_store_bytes"] == store.size
    assert readings["warren_console_dev_tokens"] == 2
