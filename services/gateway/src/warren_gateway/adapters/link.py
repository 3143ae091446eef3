"""The transport under a connection, as the connection sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from warren_shared.contracts.codes import Disconnect


class Link(Protocol):
    """The transport under a connection."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Take framed bytes, without waiting; a buffer that grows too long is the connection's
        ``overflowed``.
        """

    def reply(self, packed: bytes) -> None:
        """Take framed replies to the client's own commands. They may be larger than the buffer."""

    @property
    def waiting(self) -> int:
        """Bytes the socket has not taken yet."""

    @property
    def draining(self) -> bool:
        """Whether a large reply is still on its way; what was written later is behind it."""

    def let_in(self, session: str) -> None:
        """The client was told its session, by which it can be found from now on."""

    def close(self, disconnect: Disconnect) -> None:
        """Tell the client why, and expect it to go."""

    def ping(self) -> None:
        """Ping the client; its pongs are fed as events."""

    def abort(self) -> None:
        """Cut the connection at once."""

    def resume(self) -> None:
        """Go on, in the next turn of the event loop: commands may be taken again."""


def drop(_packed: bytes) -> None:
    """Take the place of a write to a connection that is over."""


class Gone:
    """The link of a connection whose transport is gone."""

    @property
    def write(self) -> Callable[[bytes], None]:
        return drop

    @property
    def waiting(self) -> int:
        return 0

    @property
    def draining(self) -> bool:
        return False

    def reply(self, packed: bytes) -> None:
        pass

    def let_in(self, session: str) -> None:
        pass

    def close(self, disconnect: Disconnect) -> None:
        pass

    def ping(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def resume(self) -> None:
        pass


GONE: Final = Gone()
