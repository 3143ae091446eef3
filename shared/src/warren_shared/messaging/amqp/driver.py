"""What the bus needs of an AMQP client: connections and amqp channels, as protocols.

Two drivers implement them, ``aio_pika_driver`` and ``lane``, and pass the same tests. Everything here raises the
port's errors and nothing else. A call whose time is up may have happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol
from urllib.parse import urlsplit

from warren_shared.messaging.port import DeadlineExceededError, Delivery, Headers, Outgoing
from warren_shared.topology.declarations import Binding, Exchange

SETUP_SECONDS: Final = 10.0
"""How long a declaration, or the start of a consumer, may take."""

NO_VIRTUAL_HOST: Final = "the virtual host does not exist, or this user may not use it"
"""What is told where the broker refuses to open one."""

OnDeliveries = Callable[[Sequence[Delivery]], None]
"""Takes deliveries in order, synchronously."""


class AmqpChannel(Protocol):
    """An amqp channel with at most one consumer."""

    @property
    def is_closed(self) -> bool:
        """Whether it is closed."""

    async def publish_all(self, messages: Sequence[Outgoing], *, deadline: float) -> None:
        """Publish in order, mandatory none; on an amqp channel with confirms until all are confirmed.

        Raises UnsendableMessageError for what cannot be put into frames, and for what the broker refuses
        with PRECONDITION_FAILED. That closes the amqp channel: with confirms every publish under way on it
        fails so, and which of them was the cause is told by sending it alone.
        """

    async def publish(self, message: Outgoing, *, deadline: float) -> None:
        """Publish one, as ``publish_all`` does; a mandatory one on an amqp channel with confirms only. Raises
        UnroutableError if no queue takes that.
        """

    async def write(self, message: Outgoing, *, deadline: float) -> None:
        """Publish on an amqp channel without confirms; waits while the broker takes nothing."""

    async def consume(self, queue: str, on_deliveries: OnDeliveries, *, prefetch: int | None = None) -> None:
        """Consume: with ``prefetch`` deliveries are to be acked, without it they are not."""

    async def ack(self, tag: int) -> None:
        """Ack everything up to a delivery."""

    async def ask(self) -> None:
        """Ask the broker something that changes nothing, and wait for its answer."""

    async def declare_exchange(self, exchange: Exchange) -> None:
        """Declare a durable exchange."""

    async def declare_queue(
        self,
        name: str,
        *,
        arguments: Headers,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
    ) -> None:
        """Declare a queue."""

    async def bind(self, bindings: Sequence[Binding]) -> None:
        """Make bindings; nothing happens where one is there."""

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        """Remove bindings; nothing happens where one is not there."""

    async def wait_ended(self) -> None:
        """Wait until it closes, or the broker cancels its consumer, and raise why."""

    def on_ended(self, callback: Callable[[], None]) -> None:
        """Have something called once ``wait_ended`` would raise."""

    def check(self) -> None:
        """Raise what ``wait_ended`` would raise, if it would."""


class Connection(Protocol):
    """A connection that was opened."""

    @property
    def is_closed(self) -> bool:
        """Whether it is gone."""

    async def wait_closed(self) -> None:
        """Wait until it is gone, for whatever reason."""

    def silent_for(self) -> float:
        """Return for how many seconds the broker has said nothing at all. 0 where that tells nothing: while it takes
        nothing and said so, while this side reads nothing, and from a driver that does not know.
        """

    async def close(self) -> None:
        """Close it, giving the broker two seconds to agree."""

    def amqp_channel(self, *, confirms: bool) -> AbstractAsyncContextManager[AmqpChannel]:
        """Open an amqp channel for the block's time."""


class Connect(Protocol):
    """Opens connections."""

    async def __call__(self, url: str, *, name: str, heartbeat: int) -> Connection:
        """Open one. Raises BrokerUnavailableError or DeadlineExceededError."""


def redact(url: str) -> str:
    """Return a broker URL without its user and password."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def raise_if_cancelled() -> None:
    """Raise CancelledError if this task was told to stop."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Give what is asked of the broker so long. Raises DeadlineExceededError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise DeadlineExceededError("the broker did not answer in time") from error
