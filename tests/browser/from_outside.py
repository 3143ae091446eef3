"""What comes to the console from elsewhere: a backend's publications, a publication's trace."""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

import aiohttp
from clients.backend import Backend
from staging.suite import Suite

UNKNOWN_PARENT: Final = "00f067aa0ba902b7"
"""The span of the trace's publisher, which is not received."""
ATTRIBUTES: Final = {
    "warren.channel": "chat:<b>lobby</b>",
    "messaging.rabbitmq.destination.routing_key": "chat.a-channel-whose-name-has-no-end-" + "x" * 80,
}
_MS: Final = 1_000_000


def publish_from_backend(suite: Suite, channel: str, documents: list[Any]) -> None:
    """Publish the documents one after the other, from a backend."""

    async def publish() -> None:
        async with Backend.connected(suite.backend_url) as backend:
            for number, document in enumerate(documents):
                await backend.publish(channel, document, message_id=f"{channel}-{time.time_ns()}-{number}")

    suite.stage.call(publish())


def post_trace(suite: Suite) -> str:
    """Give the console the trace of a publication, its spans in the wrong order; return its id."""
    trace_id, start = secrets.token_hex(16), time.time_ns()

    def span(service: str, number: int, parent: str, name: str, offset_ms: int, kind: int) -> dict[str, Any]:
        began = start + offset_ms * _MS
        described = {
            "traceId": trace_id,
            "spanId": f"{number:016x}",
            "parentSpanId": parent,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(began),
            "endTimeUnixNano": str(began + 3 * _MS),
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in ATTRIBUTES.items()],
        }
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": f"warren-{service}"}}]}
        return {"resource": resource, "scopeSpans": [{"spans": [described]}]}

    export = {
        "resourceSpans": [
            span("gateway", 3, f"{2:016x}", "deliver warren.deliver", 6, 5),
            span("history", 2, f"{1:016x}", "process warren.history", 2, 5),
            span("gateway", 1, UNKNOWN_PARENT, "publish warren.publish", 0, 4),
        ]
    }

    async def post() -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{suite.console_url}v1/traces", json=export) as response,
        ):
            return response.status

    assert suite.stage.call(post()) == 200
    return trace_id
