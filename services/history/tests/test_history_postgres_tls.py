"""The PostgreSQL store over TLS."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from eventually import eventually
from staging.certificates import Authority, Certificate

from warren_history.adapters.postgres_store import PostgresStore
from warren_history.ports import StoreUnusableError
from warren_history.store_url import check_store_url

from .databases import OPTIONS, DatabaseServer
from .store_behaviour import append_texts

pytestmark = pytest.mark.postgres


@pytest.fixture
async def authority(server: DatabaseServer, database: str, tmp_path: Path) -> AsyncIterator[Authority]:
    """Who signed the certificate that the server has during the test."""
    if server.private is None:
        pytest.skip("the server of this run is somebody else's: it is not to be given a certificate")
    authority = Authority(tmp_path / "authority", "Tests")
    certificate = authority.server()
    connection = await asyncpg.connect(database)
    _install(certificate, Path(await connection.fetchval("SHOW data_directory")))
    try:
        await _set_tls(connection, database, "on")
        yield authority
        await _set_tls(connection, database, "off")
    finally:
        await connection.close()


def _install(certificate: Certificate, data: Path) -> None:
    owner = data.stat()
    for file, name in ((certificate.certfile, "server.crt"), (certificate.keyfile, "server.key")):
        place = Path(shutil.copy(file, data / name))
        place.chmod(0o600)
        os.chown(place, owner.st_uid, owner.st_gid)


async def _set_tls(connection: asyncpg.Connection, database: str, value: str) -> None:
    await connection.execute(f"ALTER SYSTEM SET ssl = {value}")
    await connection.execute("SELECT pg_reload_conf()")

    async def is_set() -> bool:
        fresh = await asyncpg.connect(database)
        try:
            return bool(await fresh.fetchval("SHOW ssl") == value)
        finally:
            await fresh.close()

    await eventually(is_set, what=f"ssl {value}")


def secure(database: str, authority: Path, host: str) -> str:
    parts = urlsplit(database)
    netloc = f"{parts.username}:{parts.password}@{host}:{parts.port}"
    url = parts._replace(netloc=netloc, query=f"sslmode=verify-full&sslrootcert={authority}").geturl()
    check_store_url(url)
    return url


async def test_a_server_that_shows_a_certificate_of_the_authority_is_spoken_to_by_tls(
    database: str, authority: Authority
) -> None:
    store = await PostgresStore.open(secure(database, authority.certfile, "localhost"), OPTIONS)
    try:
        await append_texts(store, "a")
        (connection,) = store._appending._idle
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    finally:
        await store.close()


async def test_a_certificate_of_another_host_or_authority_is_refused_in_one_line(
    database: str, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger", "Somebody")
    for file, host in ((stranger.certfile, "localhost"), (authority.certfile, "127.0.0.1")):
        with pytest.raises(StoreUnusableError, match="certificate is not to be trusted") as caught:
            await PostgresStore.open(secure(database, file, host), OPTIONS)
        assert "\n" not in str(caught.value)
