"""The services under test: a private broker and the real processes, the gateway on a core of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import psutil

from warren_dev.broker import prepare_broker
from warren_dev.ledger import Ledger
from warren_dev.ports import any_free
from warren_dev.program import Program, http_ok
from warren_dev.supervisor import Supervisor
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.runtime.topology_command import apply_topology

READY_SECONDS = 60.0
NAMESPACES = Path(__file__).parent / "namespaces.yml"


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores serve and which load; the same where there is only one."""

    server: frozenset[int]
    load: frozenset[int]

    @classmethod
    def of_machine(cls) -> Cores:
        """Give the gateway the first core and everything else the others."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(frozenset(cores[:1]), frozenset(cores[1:] or cores))


@dataclass(slots=True)
class Suite:
    """The running services."""

    amqp_url: str
    gateway_url: str
    ops_ports: Mapping[str, int]
    cores: Cores
    supervisor: Supervisor
    node: Program
    """The broker's."""

    @asynccontextmanager
    async def memory_alarm(self) -> AsyncIterator[None]:
        """Have the broker believe that it is out of memory (RabbitMQ: Alarms) while the block runs."""
        await self._control("set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            yield
        finally:
            await self._control("set_vm_memory_high_watermark", "0.4")

    async def _control(self, *arguments: str) -> None:
        control = Path(self.node.command[0]).with_name("rabbitmqctl")
        process = await asyncio.create_subprocess_exec(
            control, *arguments, env=dict(self.node.environment), stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(READY_SECONDS):
            if await process.wait():
                raise RuntimeError(f"rabbitmqctl {arguments[0]} failed")

    def process(self, name: str) -> psutil.Process:
        """Return a service's process."""
        return psutil.Process(self.supervisor.pid(name))

    def cpu(self, name: str) -> float:
        """Return the CPU seconds a service has used so far."""
        times = self.process(name).cpu_times()
        return float(times.user + times.system)

    def memory(self, name: str) -> int:
        """Return a service's resident bytes."""
        return int(self.process(name).memory_info().rss)

    async def metric(self, service: str, name: str) -> float:
        """Return the sum of a metric's samples."""
        url = f"http://127.0.0.1:{self.ops_ports[service]}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            lines = (await response.text()).splitlines()
        values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + " ", name + "{"))]
        return sum(values)


def _print_trouble(program: str, line: str) -> None:
    if '"level": "error"' in line or "Traceback" in line or "warren-" in line[:8]:
        print(f"{program}: {line}", file=sys.stderr)


@asynccontextmanager
async def running_suite(
    environment: Mapping[str, str] | None = None, *, more: Sequence[str] = ()
) -> AsyncIterator[Suite]:
    """Run broker, services and ``more`` processes, such as history-2, in a temporary folder while the block runs."""
    cores = Cores.of_machine()
    with TemporaryDirectory(prefix="warren-bench-") as folder:
        broker = prepare_broker(Path(folder) / "rabbitmq", print)
        async with Supervisor(_print_trouble, Ledger(Path(folder) / "ledger")) as supervisor:
            supervisor.add(*broker.programs)
            names = [program.name for program in broker.programs]
            await supervisor.start(*names)
            await supervisor.wait_ready(*names, deadline=READY_SECONDS)
            for name in names:
                _pin(supervisor.pid(name), cores.load)
            url = broker.administrator.secret()
            await apply_topology(url, namespaces=parse_namespaces(NAMESPACES.read_text("utf-8")))
            ops = {name: any_free() for name in ("auth", "presence", "history", "gateway", *more)}
            port = any_free()
            common = {
                **os.environ,
                "WARREN_AMQP_URL": url,
                "WARREN_NAMESPACES_FILE": str(NAMESPACES),
                "WARREN_LOG_LEVEL": "warning",
                "WARREN_AUTH_TOKEN_HMAC_SECRET": "benchmarks-only-" * 4,
                "WARREN_AUTH_ALLOW_ANONYMOUS": "true",
                "WARREN_HISTORY_STORE_PATH": str(Path(folder) / "history.sqlite"),
                "WARREN_GATEWAY_PORT": str(port),
                "WARREN_GATEWAY_HOST": "127.0.0.1",
                **(environment or {}),
            }
            supervisor.add(*(_service(name, ops[name], common) for name in ops))
            await supervisor.start(*ops)
            await supervisor.wait_ready(*ops, deadline=READY_SECONDS)
            for name in ops:
                _pin(supervisor.pid(name), cores.server if name == "gateway" else cores.load)
            yield Suite(url, f"ws://127.0.0.1:{port}/connection/websocket", ops, cores, supervisor, broker.programs[-1])


def _service(name: str, ops_port: int, common: Mapping[str, str]) -> Program:
    kind = name.partition("-")[0]
    return Program(
        name=name,
        command=(sys.executable, "-m", f"warren_{kind}"),
        environment={**common, f"WARREN_{kind.upper()}_OPS_PORT": str(ops_port)},
        ready=http_ok(f"http://127.0.0.1:{ops_port}/readyz"),
    )


def _pin(pid: int, cores: frozenset[int]) -> None:
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, cores)


async def settled() -> None:
    """Let what was started finish before a measurement begins."""
    await asyncio.sleep(1.0)
