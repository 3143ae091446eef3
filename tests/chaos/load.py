"""Who publishes: backends that see to it that everything is confirmed, one that does not, and a client."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import aio_pika
import aiormq
from clients.backend import EXCHANGE, Backend
from clients.sdk import SdkClient, SdkError

from chaos.evidence import Publication

_BROKEN: Final = (aio_pika.exceptions.AMQPError, aiormq.exceptions.AMQPError, OSError, TimeoutError, RuntimeError)
"""What aio-pika raises of a connection that is gone; RuntimeError is its word for a closed amqp channel."""
_CONNECT_SECONDS: Final = 8.0
_CLOSE_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 0.3
_CLIENT_SECONDS: Final = 15.0
_REPEATED: Final = 0.03
"""How often something that is confirmed already is published again."""


@dataclass(slots=True)
class Book:
    """Everything that was ever published."""

    publications: list[Publication] = field(default_factory=list)

    def add(self, publisher: str, channel: str, chance: random.Random) -> Publication:
        """Note a publication, before it is sent."""
        name = f"{publisher}-{len(self.publications)}"
        text = "x" * chance.randrange(20, 200)
        publication = Publication(channel, name, f"{name} {text}", asyncio.get_running_loop().time())
        self.publications.append(publication)
        return publication

    def confirm(self, publication: Publication) -> None:
        """Note that its publisher saw it confirmed now, if it did not before."""
        if publication.confirmed is None:
            publication.confirmed = asyncio.get_running_loop().time()


@dataclass(slots=True)
class BackendLoad:
    """A backend that publishes in rounds: so many publications at once, on one of its channels or on several."""

    name: str
    url: str
    channels: Sequence[str]
    book: Book
    chance: random.Random
    sizes: tuple[int, int] = (1, 3)
    """Of a round, at least and at most."""
    pause: float = 0.05
    """Seconds between rounds."""
    patient: bool = True
    """Whether what was not confirmed is sent again, under the same message id, until it is."""
    _owed: list[Publication] = field(default_factory=list)
    _confirmed: list[Publication] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until told to stop, and what is owed by then."""
        while self._owed or not stop.is_set():
            session = asyncio.create_task(self._session(stop), name=f"session of {self.name}")
            try:
                await asyncio.wait({session})
            finally:
                session.cancel()
            # aiormq cancels whoever waits for a connection that breaks: that is no cancellation of ours.
            error = None if session.cancelled() else session.exception()
            if error is not None and not isinstance(error, _BROKEN):
                raise error
            await asyncio.sleep(_RETRY_SECONDS)

    async def _session(self, stop: asyncio.Event) -> None:
        async with _connected(self.url) as backend:
            while self._owed or not stop.is_set():
                await self._round(backend)
                await asyncio.sleep(self.pause)

    async def _round(self, backend: Backend) -> None:
        if not self._owed:
            self._owed = self._fresh()
        sent = [*self._owed]
        if self.patient and self._confirmed and self.chance.random() < _REPEATED:
            sent.append(self.chance.choice(self._confirmed))
        outcomes = await asyncio.gather(*(self._publish(backend, each) for each in sent), return_exceptions=True)
        if self.patient:
            self._owed = [each for each in self._owed if each.confirmed is None]
        else:
            self._owed = []
        if any(isinstance(outcome, BaseException) for outcome in outcomes):
            raise ConnectionError("not all were confirmed")

    async def _publish(self, backend: Backend, publication: Publication) -> None:
        data = {"id": publication.id, "text": publication.text}
        await backend.publish(publication.channel, data, message_id=publication.id)
        if publication.confirmed is None:
            self._confirmed.append(publication)
        self.book.confirm(publication)

    def _fresh(self) -> list[Publication]:
        size = self.chance.randint(*self.sizes)
        one = self.chance.choice(self.channels) if self.chance.random() < 0.5 else None
        return [self.book.add(self.name, one or self.chance.choice(self.channels), self.chance) for _ in range(size)]


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Backend]:
    """Connect, and waste no time on a broker that is gone."""
    async with asyncio.timeout(_CONNECT_SECONDS):
        connection = await aio_pika.connect(url)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            amqp_channel = await connection.channel(publisher_confirms=True)
            exchange = await amqp_channel.get_exchange(EXCHANGE, ensure=False)
        yield Backend(exchange)
    finally:
        with suppress(*_BROKEN):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await connection.close()


async def publish_as_client(
    client: SdkClient, name: str, channels: Sequence[str], book: Book, chance: random.Random, stop: asyncio.Event
) -> None:
    """Publish through a gateway until told to stop. What was not answered is not sent again: a client cannot
    say that it is the same.
    """
    while not stop.is_set():
        publication = book.add(name, chance.choice(channels), chance)
        with suppress(SdkError, TimeoutError):
            async with asyncio.timeout(_CLIENT_SECONDS):
                await client.publish(publication.channel, {"id": publication.id, "text": publication.text})
            book.confirm(publication)
        await asyncio.sleep(chance.uniform(0.1, 0.4))
