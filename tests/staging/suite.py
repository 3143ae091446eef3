"""The whole suite as real processes, and what a test may do to them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import time
from asyncio.subprocess import PIPE, STDOUT
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import jwt
from eventually import eventually

from staging.broker import RunBroker, VirtualHost
from staging.exposition import Scrape
from staging.namespaces import NAMESPACES
from staging.otlp_receiver import OtlpReceiver
from staging.programs import AUDIENCE, GATEWAYS, Service, Setting, console, services, websocket_url
from staging.stage import Stage
from warren_dev.ledger import Ledger
from warren_dev.ports import any_free
from warren_dev.program import SupervisorError
from warren_dev.supervisor import Supervisor
from warren_provision.broker_url import BrokerUrl
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.runtime.topology_command import apply_topology

START_SECONDS: Final = 40.0
_TOKEN_SECONDS: Final = 3600


@dataclass(slots=True)
class Output:
    """What the processes wrote, also kept in files."""

    folder: Path
    lines: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __call__(self, program: str, line: str) -> None:
        self.lines[program].append(line)
        with (self.folder / f"{program}.log").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


@dataclass(slots=True)
class Suite:
    """Auth, presence, history, the HTTP API, two gateways and the console, on a virtual host of their own.

    Its methods may be awaited from any event loop.
    """

    stage: Stage
    broker: RunBroker
    broker_supervisor: Supervisor | None
    host: VirtualHost
    setting: Setting
    processes: Mapping[str, Service]
    supervisor: Supervisor
    receiver: OtlpReceiver
    output: Output
    tokens: list[str] = field(default_factory=list)
    """Every token made, for the search for what must not be logged."""

    @property
    def gateway_urls(self) -> list[str]:
        """Where clients connect to."""
        return [websocket_url(self.processes[name].port) for name in GATEWAYS]

    @property
    def console_url(self) -> str:
        """The console's page."""
        return f"http://127.0.0.1:{self.processes['console'].port}/"

    @property
    def api_url(self) -> str:
        """The HTTP API, as its clients are told it."""
        return f"http://127.0.0.1:{self.processes['api'].port}/api"

    @property
    def amqp_url(self) -> str:
        """The virtual host, for its administrator."""
        return self.host.administrator.secret()

    @property
    def backend_url(self) -> str:
        """The virtual host, for a backend that publishes."""
        return self.host.logins["backend"].secret()

    def login(self, user: str) -> BrokerUrl:
        """Return a broker user's URL; ``user`` as in ``warren_shared.topology.access``."""
        return self.host.logins[user]

    def token(self, user: str, *, channels: Sequence[str] = (), ttl: float = _TOKEN_SECONDS, **claims: Any) -> str:
        """Return a connection token. ``claims`` add to the usual ones, or replace them."""
        now = int(time.time())
        payload = {"sub": user, "iat": now, "exp": now + ttl, "aud": AUDIENCE, "channels": list(channels), **claims}
        return self.sign({name: value for name, value in payload.items() if value is not None})

    def sign(self, claims: Mapping[str, Any], *, secret: str | None = None, algorithm: str = "HS256") -> str:
        """Return a token with exactly these claims."""
        key = "" if algorithm == "none" else secret or self.setting.token_secret
        token = jwt.encode(dict(claims), key, algorithm)
        self.tokens.append(token)
        return token

    async def kill9(self, name: str) -> None:
        """SIGKILL a process, or the private broker's ``rabbitmq``; it stays down until started."""
        await self.stage.run(self._supervisor_of(name).kill9(name))

    async def crash(self, name: str) -> None:
        """SIGKILL a process as if it had died by itself: the supervisor starts it again."""
        os.kill(self._supervisor_of(name).pid(name), signal.SIGKILL)

    async def stop(self, name: str) -> None:
        """End a process in good order; it stays down until started."""
        await self.stage.run(self._supervisor_of(name).stop(name))

    async def start(self, *names: str) -> None:
        """Start processes and wait until they are ready."""
        for name in names:
            await self.stage.run(self._supervisor_of(name).start(name))
        await self.wait_ready(*names)

    async def restart(self, name: str) -> None:
        """End a process in good order, start it again and wait until it is ready."""
        await self.stop(name)
        await self.start(name)

    async def wait_ready(self, *names: str) -> None:
        """Wait until processes (all of the suite, if none is named) are ready."""
        for name in names or self.processes:
            await self.stage.run(self._supervisor_of(name).wait_ready(name, deadline=START_SECONDS))

    def pid(self, name: str) -> int:
        """Return a process's pid."""
        return self._supervisor_of(name).pid(name)

    @property
    def all_processes(self) -> list[str]:
        """The names of all processes, those of a private broker among them."""
        return [*(program.name for program in self.broker.programs), *self.processes]

    def is_running(self, name: str) -> bool:
        """Whether there is a process of that name now."""
        try:
            return bool(self.pid(name))
        except SupervisorError:
            return False

    async def metrics(self, name: str) -> Scrape:
        """Scrape a process."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.processes[name].ops_url}/metrics") as response,
        ):
            return Scrape.parse(await response.text())

    async def total(self, names: str | Sequence[str], metric: str, **labels: str) -> float:
        """Return the sum of a metric over processes and all labels that are not given."""
        each = [names] if isinstance(names, str) else names
        return sum([(await self.metrics(name)).total(metric, **labels) for name in each])

    def logs(self, name: str, event: str | None = None) -> list[dict[str, Any]]:
        """Return what a process logged, or of that what one event is."""
        lines = [line for line in list(self.output.lines[name]) if line.startswith("{") and (event or "") in line]
        records = [json.loads(line) for line in lines]
        return [record for record in records if event is None or record.get("event") == event]

    @asynccontextmanager
    async def counting(self, name: str, metric: str, *, by: float = 1, **labels: str) -> AsyncIterator[None]:
        """Hold the block to raising a counter by so much, soon after it at the latest."""
        before = await self.total(name, metric, **labels)
        yield

        async def counted() -> bool:
            return await self.total(name, metric, **labels) == before + by

        await eventually(counted, what=f"{metric}{labels} of {name} raised by {by} above {before}")

    @asynccontextmanager
    async def logging(self, name: str, event: str, **fields: Any) -> AsyncIterator[None]:
        """Hold the block to having a process log an event with these fields, soon after it at the latest."""
        before = len(self.logs(name, event))
        yield

        def logged() -> bool:
            return any(record.items() >= fields.items() for record in self.logs(name, event)[before:])

        await eventually(logged, what=f"{event} {fields} in the log of {name}")

    async def break_connections(self, *users: str) -> None:
        """Have the broker close every AMQP connection of these users, of all services if none is named.

        To be run on the stage.
        """
        for user in users or self.setting.logins.keys() - {"backend"}:
            await self.broker.manage("DELETE", f"connections/username/{self.login(user).user}")

    async def command(self, name: str, *arguments: str) -> tuple[int | None, str]:
        """Run a process's program with arguments, as an operator does, and return its exit code and what it wrote."""
        program = self.processes[name].program
        process = await asyncio.create_subprocess_exec(
            *program.command, *arguments, env=dict(program.environment), stdout=PIPE, stderr=STDOUT
        )
        async with asyncio.timeout(START_SECONDS):
            output, _ = await process.communicate()
        return process.returncode, output.decode()

    def write_namespaces(self, text: str) -> None:
        """Replace the namespace file at once, as an editor or a mount does."""
        draft = self.setting.namespaces_file.with_suffix(".new")
        draft.write_text(text, "utf-8")
        draft.replace(self.setting.namespaces_file)

    def _supervisor_of(self, name: str) -> Supervisor:
        if name in self.processes:
            return self.supervisor
        if self.broker_supervisor is None:
            raise AssertionError(f"{name} is not of this run")
        return self.broker_supervisor


@asynccontextmanager
async def running_suite(
    stage: Stage,
    broker: RunBroker,
    broker_supervisor: Supervisor | None,
    folder: Path,
    *,
    extra: Mapping[str, str] | None = None,
    own: Mapping[str, Mapping[str, str]] | None = None,
    more: tuple[str, ...] = (),
    namespaces: str = NAMESPACES,
    broker_ports: Mapping[str, int] | None = None,
) -> AsyncIterator[Suite]:
    """Run the suite on a new virtual host, and ``more`` processes than usual; to be entered on the stage.
    ``own`` and ``broker_ports``: see Setting.
    """
    (folder / "logs").mkdir(parents=True)
    output = Output(folder / "logs")
    async with broker.virtual_host("suite") as host, OtlpReceiver.listening(any_free()) as receiver:
        setting = Setting(
            folder, host.logins, secrets.token_urlsafe(64), secrets.token_hex(32), receiver.endpoint,
            extra=extra or {}, own=own or {}, more=more, broker_ports=broker_ports or {},
        )  # fmt: skip
        setting.namespaces_file.write_text(namespaces, "utf-8")
        await apply_topology(host.administrator.secret(), namespaces=parse_namespaces(namespaces))
        processes = {service.program.name: service for service in services(setting)}
        processes["console"] = console(setting, [processes[name] for name in GATEWAYS])
        async with Supervisor(output, Ledger(folder / "processes.json")) as supervisor:
            supervisor.add(*(process.program for process in processes.values()))
            await supervisor.start(*processes)
            await supervisor.wait_ready(deadline=START_SECONDS)
            yield Suite(stage, broker, broker_supervisor, host, setting, processes, supervisor, receiver, output)


@asynccontextmanager
async def running_broker(broker: RunBroker, folder: Path) -> AsyncIterator[Supervisor | None]:
    """Run the private broker's programs, if there are any; to be entered on the stage."""
    if not broker.private:
        yield None
        return
    async with Supervisor(Output(folder), Ledger(folder / "processes.json")) as supervisor:
        supervisor.add(*broker.programs)
        names = [program.name for program in broker.programs]
        await supervisor.start(*names)
        await supervisor.wait_ready(deadline=START_SECONDS)
        try:
            yield supervisor
        finally:  # its data is thrown away: no need to wait for its own end
            for name in names:
                await supervisor.kill9(name)
