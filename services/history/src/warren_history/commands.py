"""What an operator asks of history's data: ``warren-history remove CHANNEL``, ``warren-history renew-epochs``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import Final

from warren_history.bootstrap import open_store
from warren_history.ports import StoreError
from warren_history.settings import HistorySettings
from warren_shared.contracts.envelope import ContractError, decode_one_of
from warren_shared.contracts.history import Removed, RemoveRequest
from warren_shared.contracts.rpc import Failed
from warren_shared.messaging.amqp.bus import AmqpBus
from warren_shared.messaging.drivers import CONNECT
from warren_shared.messaging.port import BusError, Requester
from warren_shared.observability.logging import configure_logging
from warren_shared.observability.tracing import Tracing
from warren_shared.runtime.errors import CONFIG_EXIT_CODE, StartupError
from warren_shared.runtime.settings import load_settings
from warren_shared.topology.catalogue import RPC_TTL_MS, ExchangeName, RpcKey

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 2 * RPC_TTL_MS / 1000
"""Longer than a request waits for history: what was given up is not carried out later."""
RENEWING_SECONDS: Final = 120.0


class CommandError(Exception):
    """The command failed; the message is one line for the operator."""


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Have ``parser`` know the commands; without one, its ``command`` is None."""
    commands = parser.add_subparsers(dest="command", title="commands", metavar="remove | renew-epochs")
    remove = commands.add_parser("remove", help="have the history that runs remove what is stored of a channel")
    remove.add_argument("channel", help="as clients name it, such as chat:room")
    commands.add_parser("renew-epochs", help="before history starts on a restored store: give every stream a new epoch")


def perform(arguments: argparse.Namespace) -> int:
    """Carry out a command and return the exit code: 0, 1 with a line on standard error, or 78 for a wrong setting."""
    try:
        settings = load_settings(HistorySettings)
        configure_logging("history", level="error", log_format=settings.log_format)
        if arguments.command == "remove":
            done = asyncio.run(_remove(settings, arguments.channel))
        else:
            done = asyncio.run(_renew_epochs(settings))
    except StartupError as error:
        sys.stderr.write(f"warren-history: {error}\n")
        return CONFIG_EXIT_CODE
    except (CommandError, BusError, StoreError) as error:
        sys.stderr.write(f"warren-history: {error}\n")
        return 1
    sys.stdout.write(f"warren-history: {done}\n")
    return 0


async def _remove(settings: HistorySettings, channel: str) -> str:
    bus = AmqpBus(
        CONNECT[settings.broker_driver],
        settings.amqp_url.get_secret_value(),
        service="history",
        heartbeat=settings.heartbeat_seconds,
        tracing=Tracing(None),
    )
    outcome: str | BusError | CommandError
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(bus.run(), name="bus")
        try:
            await bus.wait_ready(deadline=CONNECT_SECONDS)
            outcome = await ask_to_remove(bus, channel)
        except (BusError, CommandError) as error:
            outcome = error
        finally:
            running.cancel()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def ask_to_remove(requester: Requester, channel: str) -> str:
    """Ask history, and return what it did as one line. Raises CommandError, or BusError if there was no answer."""
    body = RemoveRequest(channel=channel).encode()
    reply = await requester.request(ExchangeName.RPC, RpcKey.HISTORY_REMOVE, body, deadline=ANSWER_SECONDS)
    try:
        answer = decode_one_of(reply, Removed, Failed)
    except ContractError as error:
        raise CommandError(f"the answer is not understood: {error}") from error
    if isinstance(answer, Removed):
        return f"removed {answer.publications} publications of {channel}"
    raise CommandError(f"{channel}: {answer.reason}" if isinstance(answer, Failed) else "no such answer")


async def _renew_epochs(settings: HistorySettings) -> str:
    store = await open_store(settings.model_copy(update={"store_deadline_seconds": RENEWING_SECONDS}))
    try:
        return f"gave new epochs to {await store.renew_epochs()} streams"
    finally:
        await store.close()
