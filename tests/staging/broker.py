"""The broker of a test run: a private node, or the one the environment names, with virtual hosts made for tests."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aio_pika
import aiohttp
from eventually import eventually

from warren_dev.broker import PREFERRED_PORTS, prepare_broker
from warren_dev.ports import any_free
from warren_dev.program import Program
from warren_dev.rabbitmq_package import find_scripts
from warren_provision.broker_url import BrokerUrl
from warren_shared.topology.access import ACCESS, Access
from warren_shared.topology.catalogue import DEFAULT_PARTITIONS, topology
from warren_shared.topology.definitions import SALT_BYTES, UserLogin, access_definitions, password_hash

AMQP_VARIABLE: Final = "WARREN_TEST_AMQP_URL"
MANAGEMENT_VARIABLE: Final = "WARREN_TEST_MANAGEMENT_URL"
_NO_MEMORY: Final = ("absolute", "1MB")
_DEFAULT_MEMORY: Final = ("0.4",)
_CONTROL_SECONDS: Final = 30.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """A virtual host made for tests, with a login of its own for each of Warren's broker users."""

    administrator: BrokerUrl
    logins: Mapping[str, BrokerUrl]
    """By the user's name in ``warren_shared.topology.access``."""


@dataclass(frozen=True, slots=True)
class RunBroker:
    """The broker, as its administrator sees it."""

    administrator: BrokerUrl
    management_url: str
    programs: tuple[Program, ...] = ()
    """What makes it up, if it is a private node."""
    prometheus_url: str | None = None
    """Where its plugin for Prometheus listens, if that is known."""

    @property
    def private(self) -> bool:
        """Whether this run may kill it."""
        return bool(self.programs)

    @asynccontextmanager
    async def virtual_host(self, label: str) -> AsyncIterator[VirtualHost]:
        """Make a virtual host, with users, that is deleted at the end."""
        unique = f"test-{label}-{secrets.token_hex(4)}"
        accesses = [replace(access, user=f"{access.user}-{unique}") for access in ACCESS]
        passwords = {access.user: secrets.token_urlsafe(12) for access in accesses}
        await self.manage("PUT", f"vhosts/{unique}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await self.manage("PUT", f"permissions/{unique}/{quote(self.administrator.user, safe='')}", everything)
        logins = [
            UserLogin(access, password_hash(passwords[access.user], secrets.token_bytes(SALT_BYTES)))
            for access in accesses
        ]
        await self.manage("POST", "definitions", access_definitions(logins, vhost=unique))
        administrator = replace(self.administrator, vhost=unique)
        try:
            yield VirtualHost(
                administrator,
                {
                    original.user: administrator.login(access.user, passwords[access.user])
                    for original, access in zip(ACCESS, accesses, strict=True)
                },
            )
        except BaseException:
            with suppress(aiohttp.ClientError):  # if the broker is away too: what went wrong is the news
                await self._remove(unique, accesses)
            raise
        await self._remove(unique, accesses)

    async def _remove(self, vhost: str, accesses: Sequence[Access]) -> None:
        for access in accesses:
            await self.manage("DELETE", f"users/{access.user}")
        await self.manage("DELETE", f"vhosts/{vhost}")

    @property
    def controllable(self) -> bool:
        """Whether it is a private node with RabbitMQ's own scripts on this machine."""
        return self.private and find_scripts() is not None

    @asynccontextmanager
    async def memory_alarm(self) -> AsyncIterator[None]:
        """Have the node, which must be controllable, believe while the block runs that it is out of memory.

        It then reads nothing from connections that publish, and says connection.blocked to each that
        tries (RabbitMQ: Alarms).
        """
        await self.control("set_vm_memory_high_watermark", *_NO_MEMORY)
        try:
            yield
        finally:
            await self.control("set_vm_memory_high_watermark", *_DEFAULT_MEMORY)

    async def control(self, *arguments: str) -> None:
        """Run ``rabbitmqctl`` for the node, which must be controllable."""
        node = self.programs[-1]
        process = await asyncio.create_subprocess_exec(
            Path(node.command[0]).with_name("rabbitmqctl"), *arguments, env=dict(node.environment),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(_CONTROL_SECONDS):
            told, _ = await process.communicate()
        assert process.returncode == 0, told.decode()

    async def manage(self, method: str, path: str, body: Any = None) -> Any:
        """Call the management API; return what it answers, None for nothing."""
        login = aiohttp.encode_basic_auth(self.administrator.user, self.administrator.password)
        async with (
            aiohttp.ClientSession(headers={"Authorization": login}, timeout=_TIMEOUT) as session,
            session.request(method, f"{self.management_url}/api/{path}", json=body) as response,
        ):
            text = await response.text()
            if response.status >= 400:
                raise AssertionError(f"{method} {path}: HTTP {response.status} {text}")
            return await response.json() if text else None


def find_broker(folder: Path) -> RunBroker:
    """Return the broker the environment names, or a private node, not yet started, with its files in ``folder``."""
    url = os.environ.get(AMQP_VARIABLE)
    if url:
        administrator = BrokerUrl.parse(url)
        management = os.environ.get(MANAGEMENT_VARIABLE) or f"http://{administrator.host}:15672"
        return RunBroker(administrator, management.rstrip("/"))
    return private_broker(folder)


def private_broker(folder: Path) -> RunBroker:
    """Return a private node, not yet started, with its files in ``folder``."""
    private = prepare_broker(folder, print, ports={name: any_free() for name in PREFERRED_PORTS})
    return RunBroker(private.administrator, private.management_url, private.programs, private.prometheus_url)


async def purge(url: str) -> None:
    """Empty every queue of Warren's topology."""
    async with await aio_pika.connect(url) as connection:
        amqp_channel = await connection.channel()
        for queue in topology(DEFAULT_PARTITIONS).queues:
            await (await amqp_channel.get_queue(queue.name)).purge()


async def until_registered(folder: Path, queues: Iterable[str]) -> None:
    """Wait until the private node in ``folder`` has written down that these quorum queues are its own.

    RabbitMQ does so half a second after the declaration (Ra's directory, ``auto_save``); a node
    killed before that comes back without the queues' logs.
    """
    names = folder / "data" / "warren@localhost" / "quorum" / "warren@localhost" / "names.dets"
    wanted = [queue.encode() for queue in queues]

    def registered() -> bool:
        written = names.read_bytes()
        return all(queue in written for queue in wanted)

    await eventually(registered, what="the queues outlive a kill")
