"""The ops port: /metrics, /livez and /readyz of one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from warren_shared.observability.metrics import Collect, Metrics, MetricSpec, Reading
from warren_shared.runtime.errors import StartupError

Check = Callable[[], bool]
READY: Final = MetricSpec(
    "warren_ready",
    "gauge",
    "1 while the condition holds. Ready is whose conditions all hold, as /readyz tells; the log says what is missing.",
    ("check",),
)
CATALOGUE: Final = (READY,)
_LAST_ANSWERS: Final = 1.0
"""Seconds the end waits for answers that are being written."""


class OpsServer:
    """Serves health and metrics to orchestrators; not meant to be reached by clients."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._metrics = Metrics()
        self._checks: dict[str, Check] = {}
        self._metrics.add(self._readings)

    def add_metrics(self, collect: Collect) -> None:
        """Add a source of readings, called at every scrape."""
        self._metrics.add(collect)

    def add_readiness(self, name: str, check: Check) -> None:
        """Add a condition; the process is ready while all hold."""
        self._checks[name] = check

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen while the block runs. Raises StartupError if the port is taken."""
        app = web.Application()
        app.router.add_get("/metrics", self._get_metrics)
        app.router.add_get("/livez", self._get_livez)
        app.router.add_get("/readyz", self._get_readyz)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LAST_ANSWERS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise StartupError(f"ops port {self._host}:{self._port}: {error.strerror}") from error
        try:
            yield
        finally:
            await runner.cleanup()

    def _readings(self) -> Iterable[Reading]:
        return [Reading(READY, float(check()), (name,)) for name, check in self._checks.items()]

    async def _get_metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _get_livez(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _get_readyz(self, _: web.Request) -> web.Response:
        checks = {name: check() for name, check in self._checks.items()}
        ready = all(checks.values())
        return web.json_response(
            {"status": "ready" if ready else "not ready", "checks": checks}, status=200 if ready else 503
        )
