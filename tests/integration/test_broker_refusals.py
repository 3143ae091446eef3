"""What a service says of a broker that answers and refuses."""

from __future__ import annotations

import dataclasses

import pytest
from staging.broker import VirtualHost

from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.port import BrokerUnavailableError

pytestmark = pytest.mark.broker


async def test_a_virtual_host_that_does_not_exist_is_said_to_be_so(bus_host: VirtualHost, connect: Connect) -> None:
    url = dataclasses.replace(bus_host.administrator, vhost="no-such-host").secret()
    with pytest.raises(BrokerUnavailableError, match=r"^the virtual host does not exist, or this user may not use it$"):
        await connect(url, name="test", heartbeat=10)


async def test_one_that_this_user_may_not_use_is_not_told_apart(bus_host: VirtualHost, connect: Connect) -> None:
    login = dataclasses.replace(bus_host.logins["warren-auth"], vhost="/").secret()
    with pytest.raises(BrokerUnavailableError, match=r"^the virtual host does not exist, or this user may not use it$"):
        await connect(login, name="test", heartbeat=10)
