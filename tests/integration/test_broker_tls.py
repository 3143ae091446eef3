"""TLS to the broker: who is trusted, which name is asked for, and a login by certificate."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from staging.broker import private_broker
from staging.certificates import Authority
from staging.stage import Stage
from staging.suite import running_broker

from warren_dev.broker import PLUGINS
from warren_dev.ports import LOOPBACK, any_free
from warren_dev.rabbitmq_package import find_scripts
from warren_provision.broker_url import BrokerUrl
from warren_provision.settings import password_variable
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.port import BusError, Outgoing
from warren_shared.runtime.topology_command import apply_topology
from warren_shared.topology.access import ACCESS

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(120),
    pytest.mark.skipif(find_scripts() is None, reason="the node's configuration is written for an installed RabbitMQ"),
]

DEADLINE = 60.0
CONFIG = """
listeners.ssl.local = 127.0.0.1:{amqps}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {certfile}
ssl_options.keyfile = {keyfile}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
management.ssl.ip = 127.0.0.1
management.ssl.port = {https}
management.ssl.cacertfile = {authority}
management.ssl.certfile = {certfile}
management.ssl.keyfile = {keyfile}
"""


@dataclass(frozen=True, slots=True)
class TlsBroker:
    """A node that also listens with TLS."""

    administrator: BrokerUrl
    """Over TLS, by the name in its certificate; trusts nobody yet."""
    management_url: str
    authority: Authority

    def url(self, *, host: str = "localhost", **query: object) -> str:
        """Return the administrator's URL with these options of the client."""
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return replace(self.administrator, host=host, query=text).secret()


@pytest.fixture(scope="module")
def tls_broker(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder / "certificates", "Warren tests")
    server = authority.server()
    amqps, https = any_free(), any_free()
    broker = private_broker(folder / "node")
    config = CONFIG.format(
        amqps=amqps, https=https, authority=authority.certfile, certfile=server.certfile, keyfile=server.keyfile
    )
    (folder / "node" / "conf.d" / "20-tls.conf").write_text(config, "utf-8")
    plugins = ",".join([*PLUGINS, "rabbitmq_auth_mechanism_ssl"])
    (folder / "node" / "enabled_plugins").write_text(f"[{plugins}].\n", "utf-8")
    administrator = replace(broker.administrator, scheme="amqps", host="localhost", port=amqps)
    with stage.hold(lambda: running_broker(broker, folder)):
        yield TlsBroker(administrator, f"https://localhost:{https}", authority)


async def opened(connect: Connect, url: str) -> None:
    connection = await connect(url, name="tls", heartbeat=30)
    try:
        async with connection.amqp_channel(confirms=True) as amqp_channel:
            await amqp_channel.publish(Outgoing("amq.topic", "a", b"x" * 300_000), deadline=DEADLINE)
    finally:
        await connection.close()


async def test_a_broker_whose_authority_is_named_is_trusted(tls_broker: TlsBroker, connect: Connect) -> None:
    url = tls_broker.url(cafile=tls_broker.authority.certfile)
    await apply_topology(url, partitions=1)
    await opened(connect, url)


async def test_a_broker_of_an_unknown_authority_is_refused(
    tls_broker: TlsBroker, tmp_path: Path, connect: Connect
) -> None:
    stranger = Authority(tmp_path / "stranger", "Somebody else")

    for url in (tls_broker.url(), tls_broker.url(cafile=stranger.certfile)):
        with pytest.raises(BusError, match="certificate verify failed"):
            await opened(connect, url)


async def test_a_broker_under_another_name_than_its_certificates_is_refused(
    tls_broker: TlsBroker, connect: Connect
) -> None:
    with pytest.raises(BusError, match=r"certificate is not valid for '127\.0\.0\.1'"):
        await opened(connect, tls_broker.url(host=LOOPBACK, cafile=tls_broker.authority.certfile))


async def provision(tls_broker: TlsBroker, **variables: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "warren_provision", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={
            **os.environ,
            **{password_variable(access.user): f"password-of-{access.user}" for access in ACCESS},
            "WARREN_PROVISION_AMQP_URL": tls_broker.url(),
            "WARREN_PROVISION_MANAGEMENT_URL": tls_broker.management_url,
            "WARREN_PARTITIONS": "1",
            **variables,
        },
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE):
        out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_provisioning_over_tls_trusts_what_ssl_cert_file_names(tls_broker: TlsBroker) -> None:
    code, told = await provision(tls_broker)
    assert code == 1
    assert "certificate verify failed" in told
    assert told.count("\n") == 1

    code, told = await provision(tls_broker, SSL_CERT_FILE=str(tls_broker.authority.certfile))
    assert (code, told) == (0, f"warren-provision: {tls_broker.administrator} is ready\n")


async def test_a_certificate_logs_in_as_the_broker_user_it_names(tls_broker: TlsBroker, connect: Connect) -> None:
    await provision(tls_broker, SSL_CERT_FILE=str(tls_broker.authority.certfile))
    own = tls_broker.authority.client("warren-auth")
    files = {"cafile": tls_broker.authority.certfile, "certfile": own.certfile, "keyfile": own.keyfile}
    host, vhost = tls_broker.administrator.authority, tls_broker.administrator.vhost
    url = f"amqps://{host}/{vhost}?auth=external&" + "&".join(f"{name}={file}" for name, file in files.items())

    connection = await connect(url, name="by certificate", heartbeat=30)
    try:
        async with connection.amqp_channel(confirms=False) as amqp_channel:
            await amqp_channel.consume("warren.rpc.auth", lambda _: None)
    finally:
        await connection.close()


async def test_a_stranger_without_a_certificate_does_not_log_in(tls_broker: TlsBroker, connect: Connect) -> None:
    host, vhost = tls_broker.administrator.authority, tls_broker.administrator.vhost

    with pytest.raises(BusError):
        await connect(
            f"amqps://{host}/{vhost}?auth=external&cafile={tls_broker.authority.certfile}", name="nobody", heartbeat=30
        )
