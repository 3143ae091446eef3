"""A private node for real: it starts beside whatever else runs here, survives a kill, keeps its data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import psutil
import pytest
from staging.broker import until_registered

from warren_dev.broker import PREFERRED_PORTS, PrivateBroker, prepare_broker
from warren_dev.ledger import Ledger
from warren_dev.ports import LOOPBACK, any_free
from warren_dev.supervisor import Supervisor
from warren_provision.management import Management, ManagementError
from warren_provision.provisioning import provision
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.topology.access import ACCESS

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

PASSWORDS = {access.user: f"password-of-{access.user}" for access in ACCESS}
START_SECONDS = 90.0


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: any_free() for name in PREFERRED_PORTS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("node")


@asynccontextmanager
async def running(folder: Path, ports: dict[str, int]) -> AsyncIterator[tuple[PrivateBroker, Supervisor]]:
    broker = prepare_broker(folder / "rabbitmq", print, ports=ports)
    async with Supervisor(lambda *_: None, Ledger(folder / "processes.json")) as supervisor:
        supervisor.add(*broker.programs)
        await supervisor.start(*(program.name for program in broker.programs))
        await supervisor.wait_ready(deadline=START_SECONDS)
        yield broker, supervisor


async def put(broker: PrivateBroker, body: bytes) -> None:
    async with Management.connect(
        broker.management_url, broker.administrator.user, broker.administrator.password
    ) as management:
        namespaces = parse_namespaces("namespaces: [{name: chat, history_size: 5, history_ttl: 1h}]")
        await provision(management, broker.administrator, PASSWORDS, partitions=1, namespaces=namespaces)
    backend = broker.administrator.login("backend", PASSWORDS["backend"])
    async with await aio_pika.connect(backend.secret()) as connection:
        amqp_channel = await connection.channel()
        exchange = await amqp_channel.get_exchange("warren.publish", ensure=False)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange.publish(message, routing_key="chat.room", mandatory=False, timeout=10)


async def bodies_in(broker: PrivateBroker, queue: str, count: int) -> list[bytes]:
    """Take so many messages and give them back."""
    async with await aio_pika.connect(broker.administrator.secret()) as connection:
        amqp_channel = await connection.channel()
        taken: asyncio.Queue[bytes] = asyncio.Queue()

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            taken.put_nowait(message.body)

        await (await amqp_channel.get_queue(queue, ensure=False)).consume(take)
        async with asyncio.timeout(20):
            return [await taken.get() for _ in range(count)]


async def test_a_publication_outlives_a_kill_and_a_restart_of_the_node(folder: Path, ports: dict[str, int]) -> None:
    async with running(folder, ports) as (broker, supervisor):
        await put(broker, b"1")
        await until_registered(folder / "rabbitmq", ["warren.history.0"])
        await supervisor.kill9("rabbitmq")
        await supervisor.start("rabbitmq")
        await supervisor.wait_ready(deadline=START_SECONDS)
        assert await bodies_in(broker, "warren.history.0", 1) == [b"1"]
        node = psutil.Process(supervisor.pid("rabbitmq"))
        listening = {each.laddr.ip for each in node.net_connections() if each.status == psutil.CONN_LISTEN}
        assert listening == {LOOPBACK}
    assert not node.is_running()
    async with running(folder, ports) as (broker, _):
        assert await bodies_in(broker, "warren.history.0", 1) == [b"1"]
        await put(broker, b"2")  # provisioning twice changes nothing
        assert await bodies_in(broker, "warren.history.0", 2) == [b"1", b"2"]
        stranger = Management.connect(broker.management_url, "guest", "guest")
        async with stranger as management:
            assert not await management.is_up()
            with pytest.raises(ManagementError, match="HTTP 401"):
                await management.put_vhost("x")
