"""The part of the AsyncAPI document, and of the messages page, that speaks of clients' calls of backends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from warren_dev.reference.exchanges import exchange_binding
from warren_dev.reference.markdown import code
from warren_shared.contracts.publication import MAX_PAYLOAD_BYTES
from warren_shared.contracts.rpc import CUSTOM_ERRORS, METHOD_NAME, CallHeader
from warren_shared.topology.catalogue import ExchangeName

Node = dict[str, Any]

_CODES: Final = f"{CUSTOM_ERRORS.start} to {CUSTOM_ERRORS.stop - 1}"
_HEADERS: Final[dict[CallHeader, tuple[str, str, str]]] = {
    CallHeader.USER: ("string", "gateway", "The caller's user id; empty for an anonymous user."),
    CallHeader.CLIENT: ("string", "gateway", "The id of the caller's connection."),
    CallHeader.INFO: ("string", "gateway", "The claim `info` of the caller's token as JSON text; absent without one."),
    CallHeader.ERROR_CODE: ("integer", "backend", f"The call failed: {_CODES}. The body is not looked at."),
    CallHeader.ERROR_MESSAGE: ("string", "backend", "What failed, for the client."),
    CallHeader.ERROR_TEMPORARY: ("boolean", "backend", "Whether trying again may help."),
}
"""Type, who sets it, meaning."""

CALLS_TEXT: Final = f"""
A client's `rpc` is a message on `{ExchangeName.RPC}` under `app.` and the method, which is
`{METHOD_NAME.pattern}`; its answer one on `{ExchangeName.REPLIES}` under the call's `reply_to`, with its
`correlation_id`. Both bodies are JSON of at most {MAX_PAYLOAD_BYTES:,} bytes
([docs/backends.md](../backends.md#answering-calls)). The call carries `traceparent` too, where traces are exported.
"""


def call_headers() -> Iterator[Sequence[str]]:
    """Return the rows of the table of headers."""
    for header, (kind, setter, meaning) in _HEADERS.items():
        yield code(header), kind, setter, meaning


def call_messages() -> Node:
    """Return the call and its answer, by name."""
    return {
        "Call": _message("rpc.call", "A client calls a backend.", "gateway"),
        "CallAnswer": _message("rpc.answer", "A backend answers a client's call.", "backend"),
    }


def call_channels() -> Node:
    """Return the channels that calls and answers travel on."""
    return {
        "rpc.app": _channel("app.{method}", "method", "The method.", ExchangeName.RPC, "Call"),
        "replies.gateway": _channel("{replyTo}", "replyTo", "The call's reply_to.", ExchangeName.REPLIES, "CallAnswer"),
    }


def call_operations() -> Node:
    """Return who sends and receives them."""
    ends = (
        ("gateway", "send", "rpc.app", "Call"),
        ("backend", "receive", "rpc.app", "Call"),
        ("backend", "send", "replies.gateway", "CallAnswer"),
        ("gateway", "receive", "replies.gateway", "CallAnswer"),
    )
    return {
        f"{who}.{action}.{name}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "tags": [{"name": who}],
            "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"}],
        }
        for who, action, channel, name in ends
    }


def _message(name: str, summary: str, sender: str) -> Node:
    headers = {
        header.value: {"type": kind, "description": meaning}
        for header, (kind, setter, meaning) in _HEADERS.items()
        if setter == sender
    }
    return {
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "headers": {"type": "object", "properties": headers},
        "payload": {"description": "Any JSON."},
    }


def _channel(address: str, parameter: str, meaning: str, exchange: ExchangeName, message: str) -> Node:
    return {
        "address": address,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "parameters": {parameter: {"description": meaning}},
        "bindings": {"amqp": exchange_binding(exchange)},
    }
