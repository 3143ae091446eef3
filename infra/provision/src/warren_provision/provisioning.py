"""Makes a broker ready for the services, step by step."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from warren_provision.broker_url import BrokerUrl
from warren_provision.management import Management
from warren_shared.contracts.namespaces import Namespaces
from warren_shared.runtime.topology_command import apply_topology
from warren_shared.topology.access import ACCESS
from warren_shared.topology.definitions import SALT_BYTES, UserLogin, access_definitions, password_hash


async def provision(
    management: Management,
    administrator: BrokerUrl,
    passwords: Mapping[str, str],
    *,
    partitions: int,
    namespaces: Namespaces | None,
) -> None:
    """Create the virtual host of ``administrator``, Warren's users with these passwords, the topology.

    ``passwords`` has one for each user of ``ACCESS``. The topology is declared over AMQP, which
    refuses what differs from what exists; importing it would leave the difference unnoticed.
    Raises ManagementError or BusError. May be repeated.
    """
    await management.put_vhost(administrator.vhost)
    logins = [
        UserLogin(access, password_hash(passwords[access.user], secrets.token_bytes(SALT_BYTES))) for access in ACCESS
    ]
    await management.import_definitions(access_definitions(logins, vhost=administrator.vhost))
    await apply_topology(administrator.secret(), partitions=partitions, namespaces=namespaces)
