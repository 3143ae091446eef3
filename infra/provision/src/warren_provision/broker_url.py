"""AMQP URLs, taken apart and put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from warren_shared.messaging.broker_url import split_broker_url


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """An AMQP URL. ``str()`` shows it without the password; ``secret()`` is the URL itself."""

    scheme: str
    user: str
    password: str
    host: str
    port: int
    vhost: str
    query: str = ""

    @classmethod
    def parse(cls, url: str) -> BrokerUrl:
        """Read ``amqp[s]://user:password@host:port/vhost``; what is left out has RabbitMQ's defaults.

        Raises ValueError with one line that repeats no password.
        """
        parts = split_broker_url(url)
        port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
        vhost = unquote(parts.path[1:]) or "/"
        user, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
        return cls(parts.scheme, user, password, parts.hostname or "", port, vhost, parts.query)

    def secret(self) -> str:
        """Return the URL with its password."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{login}@{self.authority}/{quote(self.vhost, safe='')}{query}"

    def login(self, user: str, password: str) -> BrokerUrl:
        """Return the URL of another user of the same virtual host."""
        return replace(self, user=user, password=password)

    @property
    def authority(self) -> str:
        """``host:port``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{quote(self.user, safe='')}@{self.authority}/{quote(self.vhost, safe='')}"
