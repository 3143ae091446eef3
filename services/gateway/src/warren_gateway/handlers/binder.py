"""Applies the binding plan to the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from warren_gateway.bus_options import BusSideOptions
from warren_gateway.domain.bindings import BindingPlan
from warren_shared.messaging.port import BrokerUnavailableError, BusError, Inbox
from warren_shared.topology.catalogue import ExchangeName

_log = structlog.get_logger()
OnChannel = Callable[[str], None]


class Binder:
    """Binds soon, in batches; unbinds later, in smaller ones."""

    def __init__(
        self, plan: BindingPlan, options: BusSideOptions, *, on_bound: OnChannel, on_failed: OnChannel
    ) -> None:
        self.plan = plan
        self._options, self._on_bound, self._on_failed = options, on_bound, on_failed
        self._inbox: Inbox | None = None
        self._connection = 0
        """Which connection this is; what was asked on an earlier one says nothing about this one."""
        self._bind_wanted = asyncio.Event()
        self._unbind_wanted = asyncio.Event()

    def follow(self, channel: str) -> bool:
        """Need a channel; returns whether it is bound, else ``on_bound`` or ``on_failed`` will be called."""
        bound = self.plan.follow(channel)
        if not bound:
            self._bind_wanted.set()
        return bound

    def wake(self) -> None:
        """Apply a plan that was changed."""
        self._bind_wanted.set()
        self._unbind_wanted.set()

    def tidy(self) -> None:
        """Unbind what need not be bound; called from time to time."""
        self._unbind_wanted.set()

    def lost(self) -> list[str]:
        """Take note that nothing is bound; returns the channels that are followed no more."""
        self._inbox = None
        self._connection += 1
        return self.plan.connection_lost()

    async def opened(self, inbox: Inbox) -> None:
        """Bind all that is followed to a new inbox. Raises BusError."""
        self._inbox = inbox
        self._connection += 1
        self.plan.rebind()
        while keys := self.plan.take_binds(self._options.rebind_batch):
            await self._bind_on(inbox, keys)
        # What came while this was going on may be in the hands of ``run``; both end well.

    async def run(self) -> None:
        """Bind and unbind until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_binding())
            tasks.create_task(self._keep_unbinding())

    async def _keep_binding(self) -> None:
        while True:
            await self._bind_wanted.wait()
            self._bind_wanted.clear()
            while keys := self.plan.take_binds(self._options.bind_batch):
                await self._bind(keys)

    async def _bind(self, keys: Sequence[str]) -> None:
        inbox, connection = self._inbox, self._connection
        try:
            if inbox is None:
                raise BrokerUnavailableError("there is no connection to the broker")
            await self._bind_on(inbox, keys)
        except BusError as error:
            if connection == self._connection:
                _log.warning("channels_not_bound", keys=len(keys), reason=str(error))
                for channel in self.plan.failed(keys):
                    self._on_failed(channel)

    async def _bind_on(self, inbox: Inbox, keys: Sequence[str]) -> None:
        connection = self._connection
        await inbox.bind(_deliver(keys), deadline=self._options.bind_deadline)
        if connection == self._connection:
            for channel in self.plan.bound(keys):
                self._on_bound(channel)

    async def _keep_unbinding(self) -> None:
        while True:
            await self._unbind_wanted.wait()
            self._unbind_wanted.clear()
            while (inbox := self._inbox) is not None and (keys := self.plan.take_unbinds(self._options.unbind_batch)):
                if not await self._unbind(inbox, keys):
                    break

    async def _unbind(self, inbox: Inbox, keys: Sequence[str]) -> bool:
        connection = self._connection
        try:
            await inbox.unbind(_deliver(keys), deadline=self._options.bind_deadline)
        except BusError as error:
            if connection == self._connection:
                _log.warning("channels_not_unbound", keys=len(keys), reason=str(error))
                self.plan.failed(keys)
                self._bind_wanted.set()
            return False
        if connection == self._connection:
            self.plan.unbound(keys)
            self._bind_wanted.set()
        return True


def _deliver(keys: Sequence[str]) -> list[tuple[str, str]]:
    return [(ExchangeName.DELIVER.value, key) for key in keys]
