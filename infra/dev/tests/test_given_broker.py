"""A broker of the user's own: what is said where it is out of reach."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from warren_dev.errors import SetupError
from warren_dev.ports import LOOPBACK, any_free
from warren_dev.run import Run
from warren_dev.terminal import Terminal
from warren_provision.broker_url import BrokerUrl

NAMESPACES = str(Path(__file__).parents[2] / "namespaces.yml")


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
async def test_a_port_where_nothing_listens_is_the_same_line_with_and_without_tls(tmp_path: Path, scheme: str) -> None:
    url = BrokerUrl(scheme, "me", "hidden", LOOPBACK, any_free(), "warren")
    run = Run(tmp_path, {"WARREN_NAMESPACES_FILE": NAMESPACES}, Terminal(io.StringIO(), colour=False))
    with pytest.raises(SetupError) as caught:
        await run._given_broker(url)
    assert str(caught.value) == f"no broker answers at {url}: check WARREN_AMQP_URL"
