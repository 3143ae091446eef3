"""What the page needs to know: where the gateways are, and what the namespaces allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from warren_shared.contracts.namespaces import NamespaceOptions, Namespaces

DEFAULT_GATEWAY_PORT: Final = 8000
_HOST: Final = "{host}"


def gateway_urls(configured: Sequence[str], request: web.Request) -> list[str]:
    """Return the gateways' WebSocket URLs, as seen from where the page was opened."""
    host = request.url.host or "localhost"
    written = f"[{host}]" if ":" in host else host
    if configured:
        return [url.replace(_HOST, written) for url in configured]
    scheme = "wss" if request.secure else "ws"
    return [f"{scheme}://{written}:{DEFAULT_GATEWAY_PORT}/connection/websocket"]


def origins(urls: Sequence[str]) -> list[str]:
    """Return the URLs' distinct origins, as a Content-Security-Policy names them."""
    return list(dict.fromkeys(f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, urls)))


def page_config(urls: Sequence[str], namespaces: Namespaces, *, dev_tokens: bool) -> dict[str, object]:
    """Return the document of /config.json."""
    return {
        "gateways": list(urls),
        "namespaces": [_namespace(name, options) for name, options in namespaces.by_name.items()],
        "dev_tokens": dev_tokens,
    }


def _namespace(name: str, options: NamespaceOptions) -> dict[str, object]:
    return {
        "name": name,
        "durable": options.durable,
        "history_size": options.history_size,
        "history_ttl": options.history_ttl,
        "recovery": options.force_recovery or options.allow_recovery,
        "presence": options.presence and (options.allow_presence_for_subscriber or options.allow_presence_for_client),
        "join_leave": options.join_leave,
        "subscribe": options.allow_subscribe_for_client,
        "user_limited": options.allow_user_limited_channels,
        "publish": options.allow_publish_for_subscriber or options.allow_publish_for_client,
        "data_format": options.publication_data_format,
    }
