"""What presence tells backends of channels, on ``warren.events``, where the namespace asks for it.

Those of one channel come in the order in which they happened, except around a change of who works on its
partition: then one may be repeated or left out, and the next one says again how it is.
"""

from __future__ import annotations

from warren_shared.contracts.envelope import Message


class ChannelOccupied(Message):
    """A channel has its first occupant."""

    type_name = "channel.occupied"

    channel: str
    at: int = 0
    """Unix milliseconds at which presence learnt of it."""


class ChannelVacated(Message):
    """The last occupant of a channel is gone."""

    type_name = "channel.vacated"

    channel: str
    at: int = 0
    """Unix milliseconds at which presence learnt of it."""
