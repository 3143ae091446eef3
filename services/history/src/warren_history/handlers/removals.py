"""Answers ``history.remove``."""

from __future__ import annotations

import structlog
from opentelemetry import trace

from warren_history.metrics import Counts
from warren_history.ports import Store, StoreUnavailableError
from warren_shared.contracts.channels import ChannelNameError, check_channel
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.envelope import ContractError, UnknownMessageError
from warren_shared.contracts.history import Removed, RemoveRequest
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.port import Delivery

_log = structlog.get_logger()


class Removals:
    """Removes from the store: answers Removed, or Failed with the protocol's code.

    The namespace file is not asked: what is stored of a namespace that is gone can be removed too.
    """

    def __init__(self, store: Store, *, counts: Counts) -> None:
        self._store, self._counts = store, counts

    async def handle(self, delivery: Delivery) -> bytes:
        """Answer one request. Never raises but for cancellation."""
        try:
            channel = RemoveRequest.decode(delivery.body).channel
            check_channel(channel)
        except UnknownMessageError:
            self._counts.requests_unknown += 1
            return self._failed(Errors.INTERNAL, "the request is of a newer version")
        except (ContractError, ChannelNameError) as error:
            return self._failed(Errors.BAD_REQUEST, str(error))
        trace.get_current_span().set_attribute("warren.channel", channel)
        try:
            publications = await self._store.remove(channel)
        except StoreUnavailableError as error:
            self._counts.store_failures += 1
            return self._failed(Errors.INTERNAL, str(error))
        _log.info("publications_removed", channel=channel, publications=publications)
        return Removed(publications=publications).encode()

    def _failed(self, error: ErrorCode, reason: str) -> bytes:
        _log.warning("removal_failed", code=error.code, reason=reason)
        return Failed(code=error.code, reason=reason, temporary=error.temporary).encode()
