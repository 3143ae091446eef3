"""The seam between the client protocol and the bytes it travels as; how these are framed is not known here.

One object of an encoding serves all connections, and stands for the encoding where bytes are kept by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from warren_gateway.domain.commands import Command
from warren_gateway.domain.publications import Publication
from warren_gateway.domain.replies import Reply
from warren_shared.contracts.codes import Disconnect, Disconnects

NOTHING: Final = b""
"""Stands for a publication, a join or a leave that cannot be put into an encoding."""


class UndecodableError(ValueError):
    """The frame, or what is left of it, is no command."""


class UnencodableError(ValueError):
    """A reply holds what cannot be written; the client must be told to go, because it waits for it."""

    disconnect: Disconnect = Disconnects.INTERNAL


class InappropriateError(UnencodableError):
    """A reply holds a publication that can be written in another encoding only."""

    disconnect = Disconnects.INAPPROPRIATE_PROTOCOL


class PushHead(Protocol):
    """Makes the pushes of one channel in one encoding; what they begin with is encoded once."""

    def publication(self, publication: Publication) -> bytes:
        """Return the push of a publication, NOTHING if it cannot be put into this encoding."""

    def join(self, info: bytes) -> bytes:
        """Return the push that says somebody, described by a ClientInfo in JSON, joined; or NOTHING."""

    def leave(self, info: bytes) -> bytes:
        """Return the push that says somebody left; or NOTHING."""


class Encoding(Protocol):
    """The client protocol in one encoding.

    Who gets deltas is shown publications in encodings of their own, which differ in nothing else.
    """

    @property
    def whole(self) -> Encoding:
        """The encoding for the first publication of a subscription with deltas."""

    @property
    def delta(self) -> Encoding:
        """The encoding for all that follow: a delta against the one before, where that is less."""

    def decode(self, frame: bytes) -> Iterator[Command]:
        """Yield a frame's commands in order, decoding each only when it is wanted.

        Raises UndecodableError where what follows is no command, which an empty frame never is.
        """

    def encode(self, reply: Reply) -> bytes:
        """Return a reply as one message. Raises UnencodableError, and nothing else."""

    def publication(self, publication: Publication) -> bytes:
        """Return a Publication as replies hold it, NOTHING if it cannot be put into this encoding."""

    def head(self, channel: str) -> PushHead:
        """Return what makes the pushes of a channel."""


Pushes = Mapping[Encoding, bytes]
"""One push, made once for each encoding that is spoken on its channel."""
