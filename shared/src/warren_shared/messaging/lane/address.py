"""Where the broker is and how to log in, as a URL says it (RabbitMQ: URI Specification)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote

from warren_shared.messaging.broker_url import split_broker_url

_PORTS: Final = {"amqp": 5672, "amqps": 5671}
_MECHANISMS: Final = ("PLAIN", "EXTERNAL")


@dataclass(frozen=True, slots=True)
class Address:
    """A broker's virtual host."""

    host: str
    port: int
    vhost: str
    mechanism: str
    user: str
    password: str = field(repr=False)
    tls: bool
    query: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Address:
        """Read an amqp:// or amqps:// URL. Raises ValueError naming what is wrong.

        Query parameters: ``auth`` (plain or external), and for TLS ``cafile``, ``capath``, ``certfile``,
        ``keyfile`` and ``no_verify_ssl``.
        """
        parts = split_broker_url(url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        mechanism = query.get("auth", "plain").upper()
        if mechanism not in _MECHANISMS:
            raise ValueError(f"auth={mechanism.lower()} is none of plain and external")
        return cls(
            host=parts.hostname or "localhost",
            port=parts.port or _PORTS[parts.scheme],
            vhost=unquote(parts.path[1:]) or "/",
            mechanism=mechanism,
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            tls=parts.scheme == "amqps",
            query=query,
        )

    @property
    def response(self) -> str:
        """What the mechanism sends: PLAIN as in RFC 4616; EXTERNAL lets the certificate speak."""
        return f"\0{self.user}\0{self.password}" if self.mechanism == "PLAIN" else ""

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what TLS needs, None without TLS. Reads files. Raises OSError (ssl.SSLError is one)."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.query.get("cafile"), capath=self.query.get("capath"))
        if "certfile" in self.query:
            context.load_cert_chain(self.query["certfile"], self.query.get("keyfile"))
        if self.query.get("no_verify_ssl", "0") not in ("", "0"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
