"""The client's errors as the port's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aio_pika
import aiormq

from warren_shared.messaging.amqp.driver import raise_if_cancelled
from warren_shared.messaging.port import BrokerUnavailableError, DeadlineExceededError, PublishRejectedError

FAILURES: Final = (
    aiormq.exceptions.AMQPError,
    aio_pika.exceptions.AMQPError,
    ConnectionError,
    OSError,
    RuntimeError,  # "connection closed" when an amqp channel is asked for a moment too late
)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the client's errors into the port's.

    The client settles futures of a dying connection by cancelling them. A CancelledError that
    nobody sent to this task is therefore a lost connection, not a wish to stop.
    """
    try:
        yield
    except aiormq.exceptions.DeliveryError as error:
        raise PublishRejectedError("the broker refused the message") from error
    except TimeoutError as error:
        raise DeadlineExceededError("the broker did not answer in time") from error
    except FAILURES as error:
        raise BrokerUnavailableError(str(error) or type(error).__name__) from error
    except asyncio.CancelledError as error:
        raise_if_cancelled()
        raise BrokerUnavailableError("the connection to the broker was lost") from error
