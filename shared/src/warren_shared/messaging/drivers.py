"""The AMQP drivers, by the name a setting gives them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from warren_shared.messaging.aio_pika_driver.connection import connect as connect_aio_pika
from warren_shared.messaging.amqp.driver import Connect
from warren_shared.messaging.lane.connection import connect as connect_lane


class BrokerDriver(StrEnum):
    """Who speaks AMQP. docs/adr/0019-lanes.md says when to choose which."""

    LANE = "lane"
    AIO_PIKA = "aio-pika"


CONNECT: Final[dict[BrokerDriver, Connect]] = {
    BrokerDriver.LANE: connect_lane,
    BrokerDriver.AIO_PIKA: connect_aio_pika,
}
