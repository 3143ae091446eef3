"""What a careless AMQP client writes into properties and headers disturbs nobody else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

import aiormq
import pytest
from clients.backend import Backend, channel_key
from clients.party import Clients
from clients.raw import RawClient
from clients.sdk import connected, subscribed
from pamqp import encode
from pamqp.commands import Basic
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.usefixtures("bystander")]


class Bytes(str):
    """Text that is put on the wire as other bytes, as clients without a notion of UTF-8 do."""

    __slots__ = ("wire",)
    wire: bytes

    def __new__(cls, wire: bytes) -> Self:
        """Make a text of that length."""
        text = super().__new__(cls, "x" * len(wire))
        text.wire = wire
        return text

    def encode(self, *_: object) -> bytes:
        return self.wire


MICROSECONDS = datetime(2023, 11, 14, tzinfo=UTC)
"""Stands for a timestamp in microseconds, which reaches no calendar."""

CARELESS: dict[str, tuple[dict[str, Any], bool]] = {
    "a message id in Latin-1": ({"message_id": Bytes(b"caf\xe9")}, True),
    "a timestamp in microseconds": ({"timestamp": MICROSECONDS}, True),
    "a trace context that is no text": ({"headers": {"traceparent": Bytes(b"\xff\xfe")}}, True),
    "a header with a timestamp in microseconds": ({"headers": {"sent": MICROSECONDS}}, False),
    "a tag that is no text": ({"headers": {"tag-a": Bytes(b"\xff\xfe")}}, False),
    "a tag as long as a frame": ({"headers": {"tag-a": "y" * 131_000}}, False),
    "a double beyond every float": ({"headers": {"tag-a": 7, "d": 1.0}}, False),
}


@pytest.fixture
def microseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this test's own client write MICROSECONDS as what it stands for."""
    monkeypatch.setattr(encode, "timestamp", lambda _: (1_700_000_000_000_000).to_bytes(8, "big"))


@pytest.mark.usefixtures("microseconds")
@pytest.mark.parametrize("namespace", ["chat", "live"])
@pytest.mark.parametrize(("properties", "delivered"), CARELESS.values(), ids=CARELESS)
async def test_a_publication_with_careless_properties_disturbs_no_other(
    suite: Suite, clients: Clients, unique: str, namespace: str, properties: dict[str, Any], delivered: bool
) -> None:
    channel = f"{namespace}:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)

    connection = await aiormq.connect(suite.backend_url)
    try:
        amqp_channel = await connection.channel(publisher_confirms=True)
        async with Backend.connected(suite.backend_url) as backend:
            await backend.publish(channel, 1)
            await amqp_channel.basic_publish(
                b"2",
                exchange="warren.publish",
                routing_key=channel_key(channel),
                properties=Basic.Properties(**properties),
            )
            await backend.publish(channel, 3)
    finally:
        await connection.close()

    expected = [1, 2, 3] if delivered else [1, 3]
    await alice.log.until("publication", channel, count=len(expected))
    assert alice.log.data(channel) == expected
    async with RawClient.open(suite.gateway_urls[0]) as newcomer:
        await newcomer.connect(suite.token("bob"))
