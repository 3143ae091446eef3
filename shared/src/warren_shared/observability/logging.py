"""Structured logs: one JSON object a line, or coloured text, each with the ids of its trace."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog
from opentelemetry import trace


def configure_logging(service: str, *, level: str, log_format: Literal["json", "console"]) -> None:
    """Send structlog's and the standard library's records to standard error in one format.

    Libraries below warning level are left out: aiormq, for one, logs message bodies.
    """
    chain: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace_ids,
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [_console_renderer()]
    )
    structlog.configure(
        processors=[*chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for quiet in ("aiormq", "aio_pika", "aiohttp.access", "asyncio", "urllib3", "opentelemetry"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
    # aiormq reports every broken connection with a traceback; the bus says it in one line of its own.
    # aiohttp reports every malformed request with a traceback: a flood for whoever wants one.
    for silent in ("aiormq.connection", "aio_pika.robust_connection", "aiormq.channel", "aiohttp.server"):
        logging.getLogger(silent).setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(is_news)
    structlog.contextvars.bind_contextvars(service=service)


def is_news(record: logging.LogRecord) -> bool:
    """Leave out asyncio's warning of each further write to a socket whose peer is gone.

    Peers go at any time; until the transport says so, in a later turn of the loop, writes are no mistake.
    """
    return record.msg != "socket.send() raised exception."


def _console_renderer() -> structlog.dev.ConsoleRenderer:
    # The default formatter prints the values of local variables, payloads and tokens among them.
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _add_trace_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event
