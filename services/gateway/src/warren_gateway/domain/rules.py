"""What all sessions of a gateway share: limits, times and sources of names and chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from warren_shared.contracts.channels import ChannelNameError, check_channel, check_pattern, is_pattern
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.namespaces import NamespaceOptions, Namespaces


@dataclass(frozen=True, slots=True)
class SessionRules:
    """The rules of one gateway; times in seconds."""

    node: str
    version: str
    namespaces: Callable[[], Namespaces]
    """Returns those in force."""
    new_id: Callable[[], str]
    """Returns a string nobody can guess."""
    random: Callable[[], float]
    """Returns a number in [0, 1)."""
    ping_interval: float = 25.0
    """0: no pings."""
    frame_pings: bool = False
    """Whether clients are pinged by the transport, so that they need not answer."""
    unidirectional: bool = False
    """Whether clients say nothing after their connect: no pongs are waited for, and errors are ends."""
    pong_timeout: float = 8.0
    stale_timeout: float = 10.0
    expired_close_delay: float = 25.0
    expired_subscription_close_delay: float = 25.0
    channel_limit: int = 128
    channel_max_length: int = 255
    command_concurrency: int = 128
    history_limit: int = 300
    client_messages: bool = False
    """Whether clients may send messages to backends."""
    connection_events: bool = False
    """Whether backends are told of connections."""

    def subscribable(self, channel: str) -> NamespaceOptions | ErrorCode:
        """Return as ``options_of`` does; where the namespace allows it, of a pattern of channels too."""
        options = self.namespaces().of_channel(channel) if is_pattern(channel) else None
        if options is None or not options.allow_patterns:
            return self.options_of(channel)
        try:
            check_pattern(channel, max_length=self.channel_max_length)
        except ChannelNameError:
            return Errors.BAD_REQUEST
        return options

    @property
    def awaits_pongs(self) -> bool:
        """Whether a client that does not answer pings is given up; frames are answered by whoever can read them."""
        return self.frame_pings or not self.unidirectional

    def options_of(self, channel: str) -> NamespaceOptions | ErrorCode:
        """Return the options of a channel's namespace, or what is wrong with the channel's name."""
        try:
            check_channel(channel, max_length=self.channel_max_length)
        except ChannelNameError:
            return Errors.BAD_REQUEST
        options = self.namespaces().of_channel(channel)
        if options is None:
            return Errors.UNKNOWN_CHANNEL
        return options if options.names(channel) else Errors.BAD_REQUEST
