"""What the standard library logs, and what of it is no news."""

from __future__ import annotations

import asyncio
import logging
import socket

from warren_shared.observability.logging import is_news


class Kept(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


async def test_writes_to_a_socket_whose_peer_is_gone_are_no_news() -> None:
    """A flood of lines for whoever wants one: connect, have much written, and reset."""
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=ours)
    theirs.close()
    logger, handler = logging.getLogger("asyncio"), Kept()
    logger.addHandler(handler)
    try:
        for _ in range(20):
            writer.transport.write(b"x")
    finally:
        logger.removeHandler(handler)
        writer.close()
    assert handler.records
    assert not any(map(is_news, handler.records))
    assert is_news(logging.LogRecord("asyncio", logging.WARNING, __file__, 1, "something else", None, None))
