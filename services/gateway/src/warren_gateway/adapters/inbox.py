"""The gateway's inbox: which delivery goes to which handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from warren_gateway.handlers.channels import LocalChannels
from warren_shared.contracts.envelope import ContractError, decode_one_of
from warren_shared.contracts.presence import SnapshotRequest
from warren_shared.messaging.port import BindKey, Delivery, Inbox
from warren_shared.topology.catalogue import ControlKey, ExchangeName, gateway_control_key

_CONTROL: Final = ExchangeName.CONTROL.value
_log = structlog.get_logger()


class PresenceReports(Protocol):
    """What reports to presence."""

    def answer(self, sync: str) -> None:
        """Report everything to presence, which asked for it under the id ``sync``."""

    def report_all(self) -> None:
        """Report everything of our own accord."""


class GatewayInbox:
    """Implements InboxListener."""

    def __init__(
        self,
        gateway: str,
        channels: LocalChannels,
        presence: PresenceReports,
        dead_letter: Callable[[Delivery, str], None],
        *,
        bind_deadline: float,
    ) -> None:
        self._channels, self._presence, self._dead_letter = channels, presence, dead_letter
        self._bind_deadline = bind_deadline
        self._control: Sequence[BindKey] = [
            (ExchangeName.CONTROL.value, key) for key in (ControlKey.ALL.value, gateway_control_key(gateway))
        ]
        self._was_open = self._closed = False

    def close(self) -> None:
        """Take nothing more: the gateway ends."""
        self._closed = True

    def on_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Hand deliveries on; one that cannot be used disturbs no other."""
        if self._closed:
            return
        take = self._channels.take
        for delivery in deliveries:
            try:
                # A live publication names warren.publish: through an exchange-to-exchange binding a
                # message keeps the exchange it was published to.
                if delivery.exchange == _CONTROL:
                    self._take_control(delivery)
                else:
                    take(delivery)
            except Exception:  # noqa: BLE001 - a bug that one delivery meets must not lose the others
                _log.exception("delivery_crashed", exchange=delivery.exchange)
                self._dead_letter(delivery, "the gateway failed to handle it")

    async def on_open(self, inbox: Inbox) -> None:
        """Bind what is wanted. Raises BusError, and then all begins anew."""
        await inbox.bind(self._control, deadline=self._bind_deadline)
        await self._channels.opened(inbox)
        if self._was_open:
            self._presence.report_all()
        self._was_open = True
        _log.info("inbox_opened")

    def on_lost(self) -> None:
        """Nothing arrives any more."""
        if self._closed:
            return
        self._channels.lost()
        _log.warning("inbox_lost")

    def _take_control(self, delivery: Delivery) -> None:
        try:
            request = decode_one_of(delivery.body, SnapshotRequest)
        except ContractError as error:
            self._dead_letter(delivery, str(error))
            return
        self._presence.answer(request.sync)
