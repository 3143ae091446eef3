"""The database's tables and functions, and how an older form becomes a newer one.

Everything lies in one schema of the database, ``warren_history``.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import asyncpg

from warren_history.ports import StoreUnusableError

MIGRATIONS: Final = tuple(
    (files(__package__) / "migrations" / name).read_text("utf-8") for name in ("0001.sql", "0002.sql")
)
"""MIGRATIONS[n] leads from version n to n + 1."""

OLDEST_SERVER: Final = 13
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtext('warren_history'), 1)"
_VERSION: Final = "SELECT version FROM warren_history.schema_version"
_IS_THERE: Final = "SELECT to_regnamespace('warren_history') IS NOT NULL"
_HAS_VERSION: Final = "SELECT to_regclass('warren_history.schema_version') IS NOT NULL"
_HAS_TABLES: Final = "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('warren_history'))"


async def migrate(connection: asyncpg.Connection) -> None:
    """Bring the database to the newest version, in one transaction; of several processes one does it.

    Raises StoreUnusableError for a server that is too old, for a database of another encoding or of a newer
    version, and for a schema of somebody else; and asyncpg's errors.
    """
    server = connection.get_server_version().major
    if server < OLDEST_SERVER:
        raise StoreUnusableError(f"the server is PostgreSQL {server}: {OLDEST_SERVER} or newer is needed")
    encoding = connection.get_settings().server_encoding
    if encoding != "UTF8":
        raise StoreUnusableError(f"the database's encoding is {encoding}: make one with ENCODING 'UTF8'")
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(_ONE_AT_A_TIME)
        version = await _version(connection)
        if version > len(MIGRATIONS):
            raise StoreUnusableError(
                f"the store has version {version}, this program knows {len(MIGRATIONS)}: start a newer one"
            )
        if version < len(MIGRATIONS):
            for script in MIGRATIONS[version:]:
                await connection.execute(script)
            await connection.execute("UPDATE warren_history.schema_version SET version = $1", len(MIGRATIONS))


async def _version(connection: asyncpg.Connection) -> int:
    if await connection.fetchval(_HAS_VERSION):
        return int(await connection.fetchval(_VERSION))
    if await connection.fetchval(_HAS_TABLES):
        raise StoreUnusableError("the schema warren_history of this database is no history store")
    if not await connection.fetchval(_IS_THERE):  # an owner without the right to make schemas was given one
        await connection.execute("CREATE SCHEMA warren_history")
    await connection.execute("CREATE TABLE warren_history.schema_version (version integer NOT NULL)")
    await connection.execute("INSERT INTO warren_history.schema_version VALUES (0)")
    return 0
