"""History put together: what it registers, what it shows, how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from warren_history.bootstrap import build
from warren_history.domain.admission import Reason
from warren_history.metrics import CATALOGUE, Counts
from warren_history.settings import HistorySettings
from warren_shared.contracts.history import Page, ReadRequest, Removed, RemoveRequest
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.port import BatchHandler, BindingPlan, Caller, Delivery, InboxListener, RequestHandler
from warren_shared.observability.metrics import Collect, Metrics
from warren_shared.observability.tracing import Tracing
from warren_shared.runtime.errors import StartupError
from warren_shared.runtime.namespace_watcher import NamespaceWatcher
from warren_shared.runtime.ops import Check, OpsServer
from warren_shared.runtime.service import Context

from .fakes import FakeClock, FakePublisher, apart

FILE = "namespaces: [{name: chat, history_size: 10, history_ttl: 1m}, {name: live}]"


class FakeBus(FakePublisher):
    """Remembers what was registered."""

    def __init__(self) -> None:
        super().__init__()
        self.consumers: dict[str, BatchHandler] = {}
        self.servers: dict[str, RequestHandler] = {}
        self.plan: Callable[[], BindingPlan] | None = None
        self.bound_again = 0

    def consume(self, queue: str, handler: BatchHandler, *, max_batch: int = 256, prefetch: int = 512) -> None:
        assert 0 < max_batch <= prefetch
        self.consumers[queue] = handler

    def serve(self, queue: str, handler: RequestHandler, *, concurrency: int = 64) -> None:
        assert concurrency > 0
        self.servers[queue] = handler

    def keep_bindings(self, current: Callable[[], BindingPlan]) -> Callable[[], None]:
        self.plan = current

        def apply() -> None:
            self.bound_again += 1

        return apply

    def open_inbox(self, listener: InboxListener, *, max_length: int = 100_000) -> None:
        raise NotImplementedError

    def open_calls(self) -> Caller:
        raise NotImplementedError

    async def request(self, exchange: str, routing_key: str, body: bytes, *, deadline: float) -> bytes:
        raise NotImplementedError

    async def run(self) -> None:
        raise NotImplementedError

    async def wait_ready(self, *, deadline: float) -> None:
        raise NotImplementedError

    @property
    def connected(self) -> bool:
        return True

    @property
    def ready(self) -> bool:
        return True


class FakeOps(OpsServer):
    """Keeps what it is given where a test can see it."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 0)
        self.metrics = Metrics()
        self.checks: dict[str, Check] = {}

    def add_metrics(self, collect: Collect) -> None:
        self.metrics.add(collect)

    def add_readiness(self, name: str, check: Check) -> None:
        self.checks[name] = check


class Running:
    """A history that runs on fakes."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.namespaces_file = folder / "namespaces.yml"
        self.namespaces_file.write_text(FILE)
        chosen = {"store_path": folder / "history.sqlite3", "store_synchronous": "normal", **settings}
        self.settings = HistorySettings.model_validate({**chosen, "partitions": 3, "drain_seconds": 0.1})
        self.bus, self.ops, self.namespaces = FakeBus(), FakeOps(), NamespaceWatcher(self.namespaces_file)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            context = Context(self.bus, self.namespaces, FakeClock(), tasks, self.ops, Tracing(None))
            async with build(context, self.settings):
                yield


@pytest.fixture
def history(tmp_path: Path) -> Running:
    return Running(tmp_path)


def delivery(key: str = "chat.room", message_id: str | None = None) -> Delivery:
    return Delivery("warren.publish", key, b"1", message_id=message_id)


async def test_it_consumes_every_partition_and_serves_reads(history: Running) -> None:
    async with history():
        assert list(history.bus.consumers) == ["warren.history.0", "warren.history.1", "warren.history.2"]
        await history.bus.consumers["warren.history.1"]([delivery()])
        (reply,) = [
            await handle(Delivery("warren.rpc", "history.read", ReadRequest(channel="chat:room", limit=-1).encode()))
            for queue, handle in history.bus.servers.items()
            if queue == "warren.rpc.history"
        ]
        assert [entry.data for entry in Page.decode(reply).publications] == ["1"]


async def test_only_under_its_own_key_is_a_removal_carried_out(history: Running) -> None:
    async with history():
        await history.bus.consumers["warren.history.0"]([delivery()])
        serve = history.bus.servers["warren.rpc.history"]
        asked = RemoveRequest(channel="chat:room").encode()
        assert Failed.decode(await serve(Delivery("warren.rpc", "history.read", asked))).temporary
        assert Removed.decode(await serve(Delivery("warren.rpc", "history.remove", asked))) == Removed(publications=1)


async def test_what_was_stored_is_there_when_it_starts_again(history: Running) -> None:
    async with history():
        await history.bus.consumers["warren.history.0"]([delivery(message_id="m1")])
    async with history():
        await history.bus.consumers["warren.history.0"]([delivery(message_id="m1"), delivery(message_id="m2")])
    assert [message.headers["offset"] for message in apart(history.bus.published)] == [1, 1, 2]


@pytest.mark.parametrize(("setting", "types"), [(True, ["pack"]), (False, [None, None])])
async def test_publications_leave_together_unless_the_setting_says_otherwise(
    history: Running, setting: bool, types: list[str | None]
) -> None:
    history.settings = history.settings.model_copy(update={"pack_deliveries": setting})
    async with history():
        await history.bus.consumers["warren.history.0"]([delivery(), delivery()])
    assert [message.type for message in history.bus.published] == types


async def test_a_reload_changes_bindings_admission_and_reads(history: Running) -> None:
    async with history():
        assert history.bus.plan is not None
        history.namespaces_file.write_text("namespaces: [{name: live, history_size: 1, history_ttl: 1m}]")
        history.namespaces.reload()
        history.namespaces.reload()
        assert history.bus.bound_again == 1
        wanted, unwanted = history.bus.plan()
        assert {(binding.routing_key, binding.destination) for binding in wanted} == {("live.#", "warren.history")}
        assert {(binding.routing_key, binding.destination) for binding in unwanted} == {
            ("live.#", "warren.deliver"),
            ("chat.#", "warren.deliver"),
            ("chat.#", "warren.history"),
        }
        await history.bus.consumers["warren.history.0"]([delivery("live.a"), delivery("chat.a")])
        assert [message.exchange for message in history.bus.published] == ["warren.dead", "warren.deliver"]


async def test_it_is_ready_while_its_store_is_open(history: Running) -> None:
    async with history():
        assert history.ops.checks["store"]()
    assert not history.ops.checks["store"]()


async def test_every_metric_of_the_catalogue_is_exposed_once_there_is_something_to_count(history: Running) -> None:
    async with history():
        take = history.bus.consumers["warren.history.0"]
        await take([delivery(message_id="m1"), delivery("gone.a")])
        await take([delivery(message_id="m1")])
        await history.bus.servers["warren.rpc.history"](Delivery("warren.rpc", "history.read", b""))
        text = history.ops.metrics.render().decode()
    for line in (
        'warren_history_appended_total{namespace="chat"} 1.0',
        'warren_history_duplicates_total{namespace="chat"} 1.0',
        'warren_history_rejected_total{reason="unknown_namespace"} 1.0',
        'warren_history_reads_total{outcome="107"} 1.0',
        'warren_history_store_rows{kind="publications"} 1.0',
        "warren_history_batch_publications_count 2.0",
    ):
        assert line in text
    assert [spec.name for spec in CATALOGUE if f"# TYPE {spec.name}" not in text] == []


def test_reasons_outcomes_and_kinds_that_have_not_come_up_read_0() -> None:
    metrics = Metrics()
    metrics.add(Counts().readings)
    text = metrics.render().decode()

    for reason in Reason:
        assert f'warren_history_rejected_total{{reason="{reason.value}"}} 0.0' in text
    for outcome in ("ok", "100", "102", "107", "108"):
        assert f'warren_history_reads_total{{outcome="{outcome}"}} 0.0' in text
    for kind in ("publications", "message_ids", "streams"):
        assert f'warren_history_trimmed_total{{kind="{kind}"}} 0.0' in text


async def test_stopping_does_not_wait_for_a_broker_that_does_not_confirm(history: Running) -> None:
    async with history():
        history.bus.gate.clear()
        task = asyncio.ensure_future(_take(history.bus.consumers["warren.history.0"]))
        await asyncio.wait_for(history.bus.called.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _take(handler: BatchHandler) -> None:
    await handler([delivery()])


async def test_a_store_that_cannot_be_opened_is_a_startup_error_of_one_line(history: Running) -> None:
    history.settings.store_path.write_bytes(b"no database" * 1000)
    with pytest.raises(ExceptionGroup) as caught:
        async with history():
            pass
    (error,) = caught.value.exceptions
    assert isinstance(error, StartupError)
    assert str(error).startswith("store ")
    assert "\n" not in str(error)


@pytest.mark.postgres
async def test_with_a_store_url_it_keeps_everything_in_that_database(tmp_path: Path, database: str) -> None:
    history = Running(tmp_path, store_url=SecretStr(database), store_synchronous="normal")
    async with history():
        assert history.ops.checks["store"]()
        await history.bus.consumers["warren.history.0"]([delivery(message_id="m1")])
    history = Running(tmp_path, store_url=SecretStr(database))
    async with history():
        await history.bus.consumers["warren.history.0"]([delivery(message_id="m1"), delivery(message_id="m2")])
    assert [message.headers["offset"] for message in apart(history.bus.published)] == [1, 2]
    assert not history.settings.store_path.exists()
    assert database not in repr(history.settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [("STORE_SYNCHRONOUS", "off"), ("SWEEP_SECONDS", "31"), ("IDEMPOTENCY_WINDOW_SECONDS", "1"), ("MAX_BATCH", "0")],
)
def test_settings_out_of_bounds_are_refused_with_their_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warren_shared.runtime.settings import load_settings

    monkeypatch.setenv(f"WARREN_HISTORY_{name}", value)
    with pytest.raises(StartupError, match=f"WARREN_HISTORY_{name}"):
        load_settings(HistorySettings)
