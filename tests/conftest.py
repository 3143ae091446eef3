"""What tests across services share: a broker for the run, and the suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from staging.broker import RunBroker, VirtualHost, find_broker, purge
from staging.spare_broker import SpareBroker, running_spare_broker
from staging.stage import Stage
from staging.suite import Suite, running_broker, running_suite

from warren_dev.rabbitmq_package import find_scripts
from warren_dev.supervisor import Supervisor
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.drivers import CONNECT, BrokerDriver
from warren_shared.runtime.topology_command import apply_topology

BUS_NAMESPACES = parse_namespaces("namespaces: [{name: chat, history_size: 10, history_ttl: 60s}, {name: live}]")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with Stage.open() as stage:
        yield stage


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="session")
def run_broker(run_folder: Path) -> RunBroker:
    return find_broker(run_folder / "broker")


@pytest.fixture(scope="session")
def broker_supervisor(stage: Stage, run_broker: RunBroker, run_folder: Path) -> Iterator[Supervisor | None]:
    with stage.hold(lambda: running_broker(run_broker, run_folder)) as supervisor:
        yield supervisor


@pytest.fixture(scope="session")
def bus_host(stage: Stage, run_broker: RunBroker, broker_supervisor: Supervisor | None) -> Iterator[VirtualHost]:
    assert broker_supervisor is not None or not run_broker.private
    with stage.hold(lambda: run_broker.virtual_host("bus")) as host:
        yield host


@pytest.fixture
async def broker_url(bus_host: VirtualHost) -> str:
    """A broker with Warren's topology and nobody on it, its queues empty."""
    url = bus_host.administrator.secret()
    await apply_topology(url, namespaces=BUS_NAMESPACES)
    await purge(url)
    return url


@pytest.fixture(scope="session")
def spare_broker(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpareBroker]:
    if find_scripts() is None:
        pytest.skip("there is no RabbitMQ installed to run a second node of")
    with running_spare_broker(stage, tmp_path_factory.mktemp("spare")) as broker:
        yield broker


@pytest.fixture
async def spare_url(spare_broker: SpareBroker) -> str:
    """A broker that may be broken, with Warren's topology and nobody on it, its queues empty."""
    await spare_broker.prepare(BUS_NAMESPACES)
    return spare_broker.url


@pytest.fixture(params=list(BrokerDriver))
def connect(request: pytest.FixtureRequest) -> Connect:
    """Each driver's way to connect: what is promised of the broker holds with every one."""
    return CONNECT[request.param]


@pytest.fixture(scope="session")
def suite(
    stage: Stage, run_broker: RunBroker, broker_supervisor: Supervisor | None, run_folder: Path
) -> Iterator[Suite]:
    """The whole suite, one for all tests: each uses channels and users of its own."""
    with stage.hold(lambda: running_suite(stage, run_broker, broker_supervisor, run_folder / "suite")) as suite:
        yield suite
