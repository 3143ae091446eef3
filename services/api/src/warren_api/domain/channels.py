"""Which channels there can be."""

from __future__ import annotations

from warren_api.domain.rejection import RejectionError
from warren_shared.contracts.channels import ChannelNameError, check_channel
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.namespaces import NamespaceOptions, Namespaces


def known_channel(channel: str, namespaces: Namespaces) -> NamespaceOptions:
    """Return the options of a channel. Raises RejectionError: 107 for an illegal name, 102 for no namespace."""
    try:
        check_channel(channel)
    except ChannelNameError as error:
        raise RejectionError(Errors.BAD_REQUEST, f"channel: {error}") from error
    options = namespaces.of_channel(channel)
    if options is None:
        raise RejectionError(Errors.UNKNOWN_CHANNEL)
    if not options.names(channel):
        raise RejectionError(Errors.BAD_REQUEST, "channel: the namespace's channel_regex does not match it")
    return options


def channel_with_presence(channel: str, namespaces: Namespaces) -> None:
    """Raise RejectionError, 108 where presence is not kept, unless the channel's presence can be asked for."""
    if not known_channel(channel, namespaces).presence:
        raise RejectionError(Errors.NOT_AVAILABLE)


def channel_with_history(channel: str, namespaces: Namespaces) -> None:
    """Raise RejectionError, 108 where nothing is stored, unless the channel has a stream."""
    if not known_channel(channel, namespaces).durable:
        raise RejectionError(Errors.NOT_AVAILABLE)
