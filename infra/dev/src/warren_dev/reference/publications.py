"""The part of the AsyncAPI document that speaks of publications, joins and leaves."""

from __future__ import annotations

from typing import Any, Final

from warren_dev.reference.exchanges import CHANNEL_PARAMETER, exchange_binding
from warren_shared.contracts import pack, publication
from warren_shared.contracts.publication import DeliverType, Header
from warren_shared.topology.catalogue import ExchangeName

Node = dict[str, Any]

HEADER_MEANINGS: Final[dict[Header, tuple[str, str, str]]] = {
    Header.OFFSET: ("integer", "history", "The publication's place in its stream."),
    Header.EPOCH: ("string", "history", "Which incarnation of the stream the offset belongs to."),
    Header.TIME: ("integer", "history", "Unix milliseconds at which it was stored."),
    Header.INFO: ("string", "gateway", "The publisher's ClientInfo as JSON text."),
    Header.TRACEPARENT: ("string", "anyone", "W3C Trace Context."),
    Header.TRACESTATE: ("string", "anyone", "W3C Trace Context."),
}
"""Type, who sets it, meaning."""

_CLIENT_INFO: Final[Node] = {
    "type": "object",
    "description": "The client protocol's ClientInfo.",
    "properties": {
        "user": {"type": "string"},
        "client": {"type": "string"},
        "conn_info": {"description": "What the user's token said of the connection."},
        "chan_info": {"description": "What is known of the connection in this channel."},
    },
    "required": ["user", "client"],
}

_ENDS: Final = (
    # (who, action, channel, messages)
    ("backend", "send", "publish.channel", ("Publication",)),
    ("gateway", "send", "publish.channel", ("Publication",)),
    ("history", "receive", "publish.channel", ("Publication",)),
    ("history", "send", "deliver.channel", ("DeliveredPublication", "Pack")),
    ("presence", "send", "deliver.channel", ("Join", "Leave")),
    ("gateway", "receive", "deliver.channel", ("DeliveredPublication", "Pack", "Join", "Leave")),
)


def publication_messages() -> Node:
    """Return the messages of a channel, by name."""
    return {
        "Publication": _publication("What a backend or a gateway publishes.", set_by=("gateway", "anyone")),
        "DeliveredPublication": _publication(
            "What gateways deliver; on durable channels with its place in the stream.",
            set_by=("history", "gateway", "anyone"),
        ),
        "Pack": _pack(),
        "Join": _membership(DeliverType.JOIN, "Somebody subscribed."),
        "Leave": _membership(DeliverType.LEAVE, "Somebody is no longer subscribed."),
    }


def publication_channels() -> Node:
    """Return the channels that publications, joins and leaves travel on."""
    return {
        "publish.channel": _channel(ExchangeName.PUBLISH, "Publication"),
        "deliver.channel": _channel(ExchangeName.DELIVER, "DeliveredPublication", "Pack", "Join", "Leave"),
    }


def publication_operations() -> Node:
    """Return who sends and receives them."""
    return {
        f"{who}.{action}.{channel}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "tags": [{"name": who}],
            "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
        }
        for who, action, channel, messages in _ENDS
    }


def _channel(exchange: ExchangeName, *messages: str) -> Node:
    return {
        "address": "{channelKey}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "parameters": {"channelKey": {"description": CHANNEL_PARAMETER}},
        "bindings": {"amqp": exchange_binding(exchange)},
    }


def _publication(summary: str, *, set_by: tuple[str, ...]) -> Node:
    headers = {
        name.value: {"type": kind, "description": meaning}
        for name, (kind, setter, meaning) in HEADER_MEANINGS.items()
        if setter in set_by
    }
    return {
        "name": DeliverType.PUBLICATION.value,
        "summary": summary,
        "description": f"The body is the payload itself, at most {publication.MAX_PAYLOAD_BYTES} bytes: JSON, or any "
        "bytes on a namespace whose publication_data_format is binary. The property message_id, at most "
        f"{publication.MAX_MESSAGE_ID_BYTES} bytes, is its idempotency key on durable channels.",
        "headers": {
            "type": "object",
            "properties": headers,
            "patternProperties": {f"^{publication.TAG_PREFIX}": {"type": "string", "description": "A tag."}},
        },
        "payload": {"description": "The publication's data."},
    }


def _pack() -> Node:
    return {
        "name": DeliverType.PACK.value,
        "summary": "Publications that history appended together.",
        "description": "Under the routing key of their channel, or, where bind_namespace is set, of their namespace "
        f"alone. At most {pack.MAX_PACK_PUBLICATIONS} publications and {pack.MAX_PACK_BYTES} bytes of them.",
        "contentType": "application/octet-stream",
        "payload": {"description": pack.LAYOUT},
        "bindings": {"amqp": {"messageType": DeliverType.PACK.value, "bindingVersion": "0.3.0"}},
    }


def _membership(kind: DeliverType, summary: str) -> Node:
    return {
        "name": kind.value,
        "summary": summary,
        "contentType": "application/json",
        "payload": _CLIENT_INFO,
        "bindings": {"amqp": {"messageType": kind.value, "bindingVersion": "0.3.0"}},
    }
