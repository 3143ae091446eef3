"""Asks the other services on behalf of sessions and brings back the answers as events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, assert_never

import structlog

from warren_gateway.domain.effects import (
    Ask,
    AskConnect,
    AskHistory,
    AskPresence,
    AskPresenceStats,
    AskPublish,
    AskRefresh,
    AskRpc,
    AskSubRefresh,
    AskSubscribe,
)
from warren_gateway.domain.events import (
    Answered,
    ConnectAnswered,
    Event,
    RefreshAnswered,
    SubRefreshAnswered,
    SubscribeDecided,
)
from warren_gateway.domain.requests import CallResult, ClientMessage, Publish, Published
from warren_gateway.ports import RequestFailedError, Services, ServiceUnavailableError
from warren_shared.contracts.auth import Admitted, Allowed, Refused
from warren_shared.contracts.clients import ClientEvent
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.history import Page
from warren_shared.contracts.presence import Members, Stats
from warren_shared.runtime.clock import Clock

_log = structlog.get_logger()
T = TypeVar("T")


class Asking:
    """One task for each question. Questions are put in the order in which ``ask`` is called."""

    def __init__(self, services: Services, tasks: asyncio.TaskGroup, clock: Clock) -> None:
        """``tasks`` owns the tasks; none of them ends with an exception."""
        self._services, self._tasks, self._clock = services, tasks, clock

    def ask(self, ask: Ask, answer: Callable[[Event], None]) -> None:
        """Ask, and call ``answer`` once, in a later loop turn."""
        self._tasks.create_task(self._ask(self._put(ask), answer))

    def tell(self, what: ClientMessage | ClientEvent) -> None:
        """Tell backends, in the order of the calls; returns at once."""
        self._services.tell(what)

    async def _ask(self, question: Awaitable[Event], answer: Callable[[Event], None]) -> None:
        event = await question
        try:
            answer(event)
        except Exception:  # noqa: BLE001 - a mistake here must not end the task group, and with it the gateway
            _log.exception("answer_not_taken", answer=type(event).__name__)

    def _put(self, ask: Ask) -> Awaitable[Event]:  # noqa: PLR0911 - one case for each question
        """Put the question at once: commands behind it in the same frame come after it."""
        services = self._services
        match ask:
            case AskConnect(request):
                return self._connect(services.connect(request))
            case AskRefresh(number, refresh):
                return self._refresh(number, services.refresh(refresh))
            case AskSubscribe(subscribe):
                return self._subscribe(subscribe.channel, services.subscribe(subscribe))
            case AskSubRefresh(number, sub_refresh):
                return self._sub_refresh(number, sub_refresh.channel, services.sub_refresh(sub_refresh))
            case AskPublish(number, publication):
                return _answered(number, self._publish(publication))
            case AskPresence(number, channel):
                return _answered(number, services.presence(channel))
            case AskPresenceStats(number, channel):
                return _answered(number, services.presence_stats(channel))
            case AskHistory(number, read):
                return _answered(number, services.history(read))
            case AskRpc(number, call):
                return _answered(number, services.rpc(call))
            case _:
                assert_never(ask)

    async def _connect(self, question: Awaitable[Admitted | Refused]) -> Event:
        answer = await _attempt(question)
        return ConnectAnswered(answer, self._ttl(answer))

    async def _refresh(self, number: int, question: Awaitable[Admitted | Refused]) -> Event:
        answer = await _attempt(question)
        return RefreshAnswered(number, answer, self._ttl(answer))

    async def _subscribe(self, channel: str, question: Awaitable[Allowed | Refused]) -> Event:
        answer = await _attempt(question)
        return SubscribeDecided(channel, answer, self._ttl(answer))

    async def _sub_refresh(self, number: int, channel: str, question: Awaitable[Allowed | Refused]) -> Event:
        answer = await _attempt(question)
        return SubRefreshAnswered(number, channel, answer, self._ttl(answer))

    async def _publish(self, publication: Publish) -> Published:
        await self._services.publish(publication)
        return Published()

    def _ttl(self, answer: Admitted | Allowed | Refused | ErrorCode) -> float | None:
        if not isinstance(answer, Admitted | Allowed) or answer.expire_at is None:
            return None
        return answer.expire_at - self._clock.now()


async def _answered(number: int, question: Awaitable[Published | Members | Stats | Page | CallResult]) -> Event:
    return Answered(number, await _attempt(question))


async def _attempt(question: Awaitable[T]) -> T | ErrorCode:
    try:
        return await question
    except RequestFailedError as failure:
        return failure.error
    except ServiceUnavailableError:
        return Errors.INTERNAL
    except Exception:  # noqa: BLE001 - likewise; the client is owed an answer
        _log.exception("service_call_failed")
        return Errors.INTERNAL
