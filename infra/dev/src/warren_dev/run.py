"""``make run``: everything from nothing to a working suite, until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Final

from warren_dev.broker import PrivateBroker, accepts, prepare_broker, speaks_amqp
from warren_dev.errors import SetupError
from warren_dev.haproxy import find_haproxy
from warren_dev.ledger import Ledger, only_run
from warren_dev.open_files import raise_limit
from warren_dev.ports import check_free
from warren_dev.program import SupervisorError
from warren_dev.secret_files import kept_passwords, kept_secret
from warren_dev.services import RunPlan, choose_ops_ports, gateway_urls, proxy_programs, service_programs, wanted_ports
from warren_dev.settings import read_settings
from warren_dev.supervisor import Supervisor
from warren_dev.terminal import Terminal
from warren_dev.token_secret import secret_in_force
from warren_provision.broker_url import BrokerUrl
from warren_provision.management import Management, ManagementError
from warren_provision.provisioning import provision
from warren_shared.messaging.port import BusError
from warren_shared.runtime.errors import CONFIG_EXIT_CODE
from warren_shared.runtime.topology_command import apply_topology
from warren_shared.topology.access import ACCESS, BACKEND_USER

_BROKER_SECONDS: Final = 90.0
_SERVICES_SECONDS: Final = 60.0
_SERVICES_ON_BROKER: Final = ("api", "auth", "presence", "history", "gateway")


class Run:
    """One run from one folder."""

    def __init__(self, root: Path, environment: Mapping[str, str], terminal: Terminal) -> None:
        self._began = time.monotonic()
        self._environment, self._terminal = environment, terminal
        self._run_dir = root / ".run"
        self._settings = read_settings(environment, root)
        self._ledger = Ledger(self._run_dir / "processes.json")
        self._interrupted = asyncio.Event()

    async def go(self) -> int:
        """Run until a signal; return the exit code. Raises SetupError if Warren cannot run."""
        self._listen()
        with only_run(self._run_dir):
            if ended := await asyncio.to_thread(self._ledger.end_leftovers):
                self._terminal.say(f"ended {ended} processes that an earlier run left behind")
            check_free(wanted_ports(self._settings))
            if warning := raise_limit():
                self._terminal.say(warning)
            async with Supervisor(self._terminal.line, self._ledger) as supervisor:
                return await self._until_interrupted(supervisor)

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._interrupted.set)

        # Not the loop's own handlers: it takes them away at its end, and a second Ctrl-C would be a traceback then.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, interrupt)

    async def _until_interrupted(self, supervisor: Supervisor) -> int:
        work = asyncio.create_task(self._serve(supervisor), name="run")
        stop = asyncio.create_task(self._interrupted.wait(), name="interrupt")
        try:
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            return 0
        finally:
            stop.cancel()
            work.cancel()
            await asyncio.wait((work, stop))
            if self._interrupted.is_set():
                self._terminal.say("stopping: gateways first, the broker last")

    async def _serve(self, supervisor: Supervisor) -> int:
        private = None
        if self._settings.amqp_url is None:
            private, broker_of = await self._private_broker(supervisor)
        else:
            broker_of = await self._given_broker(self._settings.amqp_url)
        secret_file = secret_in_force(self._run_dir, self._settings.token_secret)
        (self._run_dir / "history").mkdir(exist_ok=True)
        ops_ports = choose_ops_ports(self._settings, self._run_dir / "ops-ports.json")
        api_key = self._environment.get("WARREN_API_KEYS") or kept_secret(self._run_dir / "api-key")
        plan = RunPlan(self._settings, self._run_dir, secret_file, api_key, broker_of, ops_ports, self._environment)
        programs = (*service_programs(plan), *proxy_programs(plan))
        self._terminal.expect(program.name for program in programs)
        supervisor.add(*programs)
        await supervisor.start(*(program.name for program in programs))
        await supervisor.wait_ready(deadline=_SERVICES_SECONDS)
        self._show(private, broker_of, ops_ports)
        mistake = await supervisor.wait_mistake()
        self._terminal.say(f"{mistake.program} refuses its settings: {mistake.line}")
        return CONFIG_EXIT_CODE

    async def _private_broker(self, supervisor: Supervisor) -> tuple[PrivateBroker, dict[str, BrokerUrl]]:
        folder = self._run_dir / "rabbitmq"
        private = await asyncio.to_thread(prepare_broker, folder, self._terminal.say)
        passwords = kept_passwords(folder / "passwords.json", (access.user for access in ACCESS))
        self._terminal.say(f"starting a private RabbitMQ on {private.administrator.authority}")
        supervisor.add(*private.programs)
        names = [program.name for program in private.programs]
        await supervisor.start(*names)
        try:
            await supervisor.wait_ready(*names, deadline=_BROKER_SECONDS)
        except SupervisorError as error:
            raise SetupError(f"the private RabbitMQ did not start: {error} (its logs: {private.log_dir})") from error
        administrator = private.administrator
        async with Management.connect(private.management_url, administrator.user, administrator.password) as management:
            try:
                await provision(
                    management,
                    administrator,
                    passwords,
                    partitions=self._settings.partitions,
                    namespaces=self._settings.namespaces,
                )
            except BusError as error:
                raise SetupError(
                    f"the private RabbitMQ refused: {error}; or remove {folder}, and what waits in it"
                ) from error
        return private, {
            access.user.removeprefix("warren-"): administrator.login(access.user, passwords[access.user])
            for access in ACCESS
        }

    async def _given_broker(self, url: BrokerUrl) -> dict[str, BrokerUrl]:
        answers = speaks_amqp if url.scheme == "amqp" else accepts
        if not await answers(url.host, url.port):
            raise SetupError(f"no broker answers at {url}: check WARREN_AMQP_URL")
        try:
            await apply_topology(
                url.secret(), partitions=self._settings.partitions, namespaces=self._settings.namespaces
            )
        except BusError as error:
            hint = " (type: rabbitmq-plugins enable rabbitmq_consistent_hash_exchange)"
            missing = "x-consistent-hash" in str(error) and "unknown exchange type" in str(error)
            raise SetupError(
                f"the broker at {url} (WARREN_AMQP_URL) refused: {error}{hint if missing else ''}"
            ) from error
        return dict.fromkeys((*_SERVICES_ON_BROKER, BACKEND_USER), url)

    def _show(
        self, private: PrivateBroker | None, broker_of: Mapping[str, BrokerUrl], ops_ports: Mapping[str, int]
    ) -> None:
        backend = broker_of[BACKEND_USER]
        rows = [("Console", f"http://localhost:{self._settings.console_port}")]
        rows += [("WebSocket", url) for url in gateway_urls(self._settings)]
        rows += [("HTTP API", f"http://localhost:{self._settings.api_port}/api        (X-API-Key: in .run/api-key)")]
        if find_haproxy():
            rows += [("One port", f"http://localhost:{self._settings.proxy_port} for both, by HAProxy")]
        rows += [("Token", "make token USER=alice        (CHANNELS=chat:a,chat:b TTL=1h)")]
        rows += [("Last trace", "make trace")] if not self._settings.exports_elsewhere else []
        if private is not None:
            administrator = private.administrator
            rows += [
                ("Backends", f"publish to warren.publish at {backend.secret()}"),
                (
                    "RabbitMQ",
                    f"{private.management_url}  user {administrator.user}, password in .run/rabbitmq/admin-password",
                ),
            ]
        else:
            rows += [("Backends", f"publish to warren.publish at {backend}")]
        rows += [("Metrics", ", ".join(f"{name} :{port}/metrics" for name, port in ops_ports.items()))]
        rows += [("Stop", "Ctrl-C")]
        self._terminal.block(f"Warren is ready after {time.monotonic() - self._began:.1f} s", rows)


def main() -> int:
    """Run Warren from the current folder; return the exit code."""
    logging.disable()  # the AMQP client logs a traceback of what is told here in one line
    terminal = Terminal.standard()
    try:
        return asyncio.run(Run(Path.cwd(), os.environ, terminal).go())
    except* (SetupError, SupervisorError, ManagementError, BusError) as errors:
        message = _first(errors)
    sys.stderr.write(f"warren: {message}\n")
    return 1


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


if __name__ == "__main__":
    sys.exit(main())
