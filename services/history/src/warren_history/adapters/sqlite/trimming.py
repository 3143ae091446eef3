"""Removing what has expired, a slice at a time."""

from __future__ import annotations

import sqlite3
from typing import Final

from warren_history.adapters.sqlite.clock import advance_age
from warren_history.adapters.sqlite.connection import transaction
from warren_history.domain.publications import Trimmed

# In the order of expiry, then of storing: what goes is always the beginning of a stream.
_PUBLICATIONS: Final = (
    "DELETE FROM publications WHERE id IN (SELECT id FROM publications WHERE expires <= ? ORDER BY expires, id LIMIT ?)"
)
_MESSAGE_IDS: Final = (
    "DELETE FROM message_ids WHERE (stream, message_id) IN "
    "(SELECT stream, message_id FROM message_ids WHERE age <= ? ORDER BY age LIMIT ?)"
)
_STREAMS: Final = "DELETE FROM streams WHERE id IN (SELECT id FROM streams WHERE dies <= ? ORDER BY dies LIMIT ?)"


def trim(connection: sqlite3.Connection, now: int, window: int, limit: int) -> Trimmed:
    """Remove a slice as ``Store.trim`` promises. Raises sqlite3.Error."""
    with transaction(connection):
        age = advance_age(connection, now)
        publications = connection.execute(_PUBLICATIONS, (now, limit)).rowcount
        message_ids = connection.execute(_MESSAGE_IDS, (age - window, limit)).rowcount
        streams = connection.execute(_STREAMS, (now, limit)).rowcount
    return Trimmed(publications, message_ids, streams, more=limit in (publications, message_ids, streams))
