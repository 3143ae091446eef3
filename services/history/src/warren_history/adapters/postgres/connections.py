"""Connections to the server: made when they are needed, a bounded number, each given up once it failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from warren_history.adapters.postgres.failures import CROSSED, refused, translated
from warren_history.adapters.postgres.schema import migrate
from warren_history.ports import StoreUnavailableError, StoreUnusableError

_CROSSED_ATTEMPTS: Final = 3
_CLOSE_SECONDS: Final = 2.0

T = TypeVar("T")
Work = Callable[[asyncpg.Connection], Awaitable[T]]


class Server:
    """A database, and the way to it."""

    def __init__(self, url: str, deadline: float) -> None:
        self._url, self._deadline = url, deadline
        self._migrating = asyncio.Lock()
        self._migrated = False

    async def connect(self) -> asyncpg.Connection:
        """Return a new connection to a database of the newest version.

        Raises StoreUnusableError for what will not pass by itself, and StoreUnavailableError.
        """
        with translated(self._deadline), refused():
            connection = await self._connect()
            try:
                async with self._migrating:
                    if not self._migrated:
                        await migrate(connection)
                        self._migrated = True
            except BaseException:
                connection.terminate()
                raise
            return connection

    async def _connect(self) -> asyncpg.Connection:
        # The server gives up no later than we do, whatever becomes of us meanwhile.
        deadline = str(round(self._deadline * 1000))
        return await asyncpg.connect(
            self._url,
            timeout=self._deadline,
            max_cached_statement_lifetime=0,
            # A standby, which a failover may leave under the old name, would answer reads with the past.
            target_session_attrs=SessionAttribute.read_write,
            server_settings={
                "application_name": "warren-history",
                "statement_timeout": deadline,
                "idle_in_transaction_session_timeout": deadline,
                "default_transaction_isolation": "read committed",
            },
        )


class Connections:
    """At most so many connections, for one kind of call."""

    def __init__(self, server: Server, most: int, deadline: float) -> None:
        self._server, self._deadline = server, deadline
        self._free = asyncio.Semaphore(most)
        self._idle: list[asyncpg.Connection] = []
        self._closed = False

    async def run(self, work: Work[T]) -> T:
        """Return what work on a connection returns. Raises StoreUnavailableError, and mistakes as they are.

        The work must be a single statement: it is done again if it got into another's way.
        """
        with translated(self._deadline):
            async with asyncio.timeout(self._deadline), self._connection() as connection:
                for _ in range(_CROSSED_ATTEMPTS - 1):
                    with suppress(*CROSSED):
                        return await work(connection)
                return await work(connection)

    def adopt(self, connection: asyncpg.Connection) -> None:
        """Take over a connection that is open already."""
        self._idle.append(connection)

    async def close(self) -> None:
        """Close what is idle now, and the rest when it becomes so."""
        self._closed = True
        while self._idle:
            connection = self._idle.pop()
            try:
                await connection.close(timeout=_CLOSE_SECONDS)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                connection.terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        async with self._free:
            connection = self._pop_idle() or await self._connect()
            try:
                yield connection
            except BaseException as error:
                # Without an answer nobody knows what state it is in; and a server that became a standby,
                # or is going down, is not the one to ask again.
                if not _answered(error):
                    self._give_up(connection)
                raise
            finally:
                self._idle.append(connection)
                if self._closed:
                    await self.close()

    async def _connect(self) -> asyncpg.Connection:
        try:
            return await self._server.connect()
        except StoreUnusableError as error:  # it was usable before: whoever changed that may be at it still
            raise StoreUnavailableError(str(error)) from error

    def _pop_idle(self) -> asyncpg.Connection | None:
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    def _give_up(self, connection: asyncpg.Connection) -> None:
        # What broke one has broken the others too, or will: better find out by connecting anew.
        connection.terminate()
        while self._idle:
            self._idle.pop().terminate()


def _answered(error: BaseException) -> bool:
    """Whether the server refused a statement, and its session goes on."""
    return isinstance(error, asyncpg.PostgresError | ValueError) and not isinstance(
        error,
        asyncpg.PostgresConnectionError | asyncpg.ReadOnlySQLTransactionError | asyncpg.OperatorInterventionError,
    )
