"""The gateway's settings; a field ``port`` is read from ``WARREN_GATEWAY_PORT``."""

from __future__ import annotations

import os
import re
import socket
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from warren_shared.runtime.settings import ServiceSettings, service_config, split_list

_ORIGIN: Final = re.compile(r"\*|null|[-+.a-z0-9*]+://[^/\s]+", re.IGNORECASE)
"""What a browser's Origin header can be (RFC 6454 section 7), ``*`` standing for any part."""
_NOT_IN_AN_ID: Final = re.compile(r"[^-_a-zA-Z0-9]")
_LONGEST_HOST: Final = 56


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError(f"{value!r} is no origin: write https://app.example.com, without a path or a / at the end")
    return value


Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(split_list)]


class GatewaySettings(ServiceSettings):
    """Everything a gateway can be told. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(**service_config("gateway"))

    ops_port: int = Field(
        9101, ge=0, le=65535, description="Port of /metrics, /livez and /readyz; 0 takes any free one."
    )

    host: str = Field("0.0.0.0", description="Address clients connect to.")
    port: int = Field(8000, ge=0, le=65535, description="Port clients connect to; 0 takes any free one.")
    id: str = Field(
        "",
        pattern=r"^[-_a-zA-Z0-9]{0,64}$",
        description="The gateway's id, unique in the cluster, without dots; empty: host name and port.",
    )
    websocket_path: str = Field(
        "/connection/websocket", pattern=r"^/\S+$", description="Path of the WebSocket endpoint."
    )
    http_transports: bool = Field(
        True,
        description="Serve clients that have HTTP alone, at /connection/http_stream, /connection/sse and /emulation.",
    )
    compression: bool = Field(
        False,
        description="Compress WebSocket messages of 256 bytes and more for clients that offer permessage-deflate.",
    )
    unidirectional: bool = Field(
        True,
        description="Serve clients that send nothing but what they connect with, at /connection/uni_websocket, "
        "/connection/uni_http_stream and /connection/uni_sse.",
    )
    allowed_origins: Origins = Field(
        (),
        description="Origins of pages on other hosts that may connect, separated by commas; * stands for anything, "
        "as in https://*.example.com.",
    )

    connection_limit: int = Field(0, ge=0, description="Connections at most; more are answered 503. 0: no limit.")
    connection_rate: int = Field(
        0, ge=0, description="New connections a second at most; more are answered 503. 0: no limit."
    )
    emulation_rate: int = Field(
        300,
        ge=0,
        description="Requests with commands that a session over HTTP may send this gateway a second; "
        "more are answered 429. 0: no limit.",
    )
    emulation_byte_rate: int = Field(
        1_048_576,
        ge=0,
        description="Bytes of commands that a session over HTTP may send this gateway a second, but at least one "
        "largest message; more are answered 429. 0: no limit.",
    )
    message_size_limit: int = Field(65_536, ge=1024, le=16_777_216, description="Largest message a client may send.")
    write_buffer_limit: int = Field(
        1_048_576,
        ge=65_536,
        description="Bytes that may wait for a client that reads slowly, and one largest publication; "
        "then it is closed with 3008.",
    )
    reply_buffer_limit: int = Field(
        4_194_304,
        ge=1_048_576,
        le=268_435_456,
        description="Bytes of recovered publications and of history that may wait for a client besides, for 30 s; "
        "who missed more is not recovered. Not less than a page of history.",
    )
    command_concurrency: int = Field(
        128,
        ge=1,
        le=10_000,
        description="Commands of one connection in work at a time; beyond, its socket is not read.",
    )
    channel_limit: int = Field(128, ge=1, description="Subscriptions of one connection at most.")
    channel_max_length: int = Field(255, ge=1, le=255, description="Longest channel name.")
    history_max_publication_limit: int = Field(300, ge=1, description="Publications in one history reply at most.")
    recovery_max_publication_limit: int = Field(
        300, ge=1, description="Publications recovered by one subscribe at most; who missed more is not recovered."
    )

    client_messages: bool = Field(
        False, description="Publish what clients `send` on warren.events, for backends; else such clients are closed."
    )
    connection_events: bool = Field(
        False, description="Tell backends on warren.events of every client that connects and disconnects."
    )

    ping_interval: float = Field(25.0, ge=0, description="Time between pings to a client; 0 switches them off.")
    pong_timeout: float = Field(8.0, gt=0, description="How long a client may take to answer a ping.")
    stale_timeout: float = Field(10.0, gt=0, description="How long a client may take to send its connect command.")
    expired_subscription_close_delay: float = Field(
        25.0, ge=0, description="How long a client has to refresh a subscription whose token has expired."
    )
    expired_close_delay: float = Field(
        25.0, ge=0, description="How long a connection outlives its token, so that the client can refresh it."
    )
    close_timeout: float = Field(
        3.0, gt=0, description="How long a client may take to answer a close; then its socket is cut."
    )

    shutdown_window: float = Field(
        5.0, ge=0, description="At shutdown the clients are sent away evenly over this time."
    )
    shutdown_timeout: float = Field(
        15.0, gt=0, description="After this time at the latest shutdown cuts what is still connected."
    )

    namespace_binding_threshold: int = Field(
        256,
        ge=1,
        description="Channels of one namespace bound one by one at the broker; beyond, the namespace is bound at once.",
    )
    unbind_grace: float = Field(30.0, ge=0, description="How long a channel nobody needs any more stays bound.")
    inbox_length: int = Field(
        100_000, ge=1000, description="Deliveries the broker keeps for a gateway that lags; the oldest are dropped."
    )
    position_check_interval: float = Field(
        40.0,
        gt=0,
        description="After so long without a publication a durable channel's position is compared with history's.",
    )

    request_timeout: float = Field(5.0, gt=0, description="How long another service may take to answer.")
    rpc_timeout: float = Field(
        4.0, gt=0, le=300, description="How long a backend may take to answer a client's call; SDKs wait for 5 s."
    )
    publish_timeout: float = Field(10.0, gt=0, description="How long the broker may take to confirm a publication.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.ping_interval and self.ping_interval <= self.pong_timeout:
            raise ValueError("WARREN_GATEWAY_PING_INTERVAL must be longer than WARREN_GATEWAY_PONG_TIMEOUT")
        if self.shutdown_timeout <= self.shutdown_window:
            raise ValueError("WARREN_GATEWAY_SHUTDOWN_TIMEOUT must be longer than WARREN_GATEWAY_SHUTDOWN_WINDOW")
        return self

    @property
    def gateway_id(self) -> str:
        """The id in force."""
        if self.id:
            return self.id
        host = _NOT_IN_AN_ID.sub("-", socket.gethostname())[:_LONGEST_HOST]
        return f"{host}-{self.port or os.getpid()}"
