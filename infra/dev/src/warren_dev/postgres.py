"""A private PostgreSQL: a server with data of its own, on loopback only, for tests and benchmarks."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from warren_dev.errors import SetupError
from warren_dev.ports import LOOPBACK, any_free
from warren_dev.postgres_package import PACKAGE, find_programs
from warren_dev.secret_files import kept_secret

OWNER: Final = "warren"
_UNPRIVILEGED: Final = ("postgres", "nobody")
"""Who runs the server if we are root, which PostgreSQL refuses to be."""
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 0.05
_NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})


class PrivatePostgres:
    """A server that is started, stopped and crashed at will; it ends with the thread that started it."""

    def __init__(self, programs: Path, folder: Path, settings: Mapping[str, str]) -> None:
        """Use an empty folder for everything; call ``running_postgres`` instead."""
        self._programs, self._data, self._log = programs, folder / "data", folder / "log"
        self._user = _server_user()
        self._port = any_free()
        self._password = kept_secret(folder / "password")
        self._settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self._port),
            "unix_socket_directories": "",
            "max_connections": "60",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._make(folder)

    def url(self, database: str = "postgres") -> str:
        """Return a database's URL, for the server's owner."""
        return f"postgresql://{OWNER}:{self._password}@{LOOPBACK}:{self._port}/{database}"

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        return self._port

    def start(self) -> None:
        """Start it and wait until it takes connections. Raises SetupError."""
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_server_user("INT"), self._programs / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._takes_connections():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SetupError(f"PostgreSQL does not start: {self._last_line()}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End it in good order; its clients are cut off."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """End it at once, as if it had died: what was not on disk is lost, and the next start recovers."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _make(self, folder: Path) -> None:
        self._log.touch()
        if self._user is not None:
            for path in (folder, folder / "password", self._log):
                shutil.chown(path, self._user)
        command: list[str | Path] = [
            *self._as_server_user("KILL"),
            *(self._programs / "initdb", "--pgdata", self._data),
            *("--username", OWNER, "--pwfile", folder / "password", "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions"),
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/")
        if done.returncode != 0:
            raise SetupError(f"initdb failed: {''.join(done.stderr.strip().splitlines()[-1:])}")

    def _as_server_user(self, at_parents_death: str) -> list[str]:
        user = [] if self._user is None else [f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups"]
        return ["setpriv", *user, f"--pdeathsig={at_parents_death}"]

    def _takes_connections(self) -> bool:
        # The port opens before recovery has ended; then it answers the question for TLS all the same, but the
        # file's last word is "ready".
        try:
            with socket.create_connection((LOOPBACK, self._port), timeout=1):
                return (self._data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
        except (OSError, IndexError):
            return False

    def _last_line(self) -> str:
        return "".join(self._log.read_text("utf-8", "replace").strip().splitlines()[-1:])


@contextmanager
def running_postgres(
    say: Callable[[str], None], settings: Mapping[str, str] = _NO_SETTINGS
) -> Iterator[PrivatePostgres]:
    """Run a server with ``settings`` of postgresql.conf while the block does; its data goes with it.

    Where PostgreSQL is not installed, its package is installed if this user may. Raises SetupError.
    """
    programs = find_programs()
    if programs is None and PACKAGE.install(say):
        programs = find_programs()
    if programs is None:
        raise SetupError(f"PostgreSQL is not installed. Type: {PACKAGE.command}")
    # Not in a folder of the caller's: the unprivileged user must be able to reach it.
    with tempfile.TemporaryDirectory(prefix="warren-postgres-") as folder:
        server = PrivatePostgres(programs, Path(folder), settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _server_user() -> str | None:
    """Return the user to become, None if we may run the server as we are. Raises SetupError."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise SetupError("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
