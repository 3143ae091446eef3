"""How a publication's content lies in a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson

from warren_history.domain.publications import Content


def content_of(row: Mapping[str, Any] | asyncpg.Record) -> Content:
    """Return the content of the columns data, binary, content_type, info and tags."""
    kind, tags = row["content_type"], row["tags"]
    content_type = None if kind is None else kind.decode()
    if tags is None:
        return Content(row["data"], row["binary"], content_type, row["info"])
    return Content(row["data"], row["binary"], content_type, row["info"], orjson.loads(tags))


def packed_tags(content: Content) -> str | None:
    """Return the column tags. Raises ValueError if there is a tag that is no Unicode text."""
    return orjson.dumps(dict(content.tags)).decode() if content.tags else None
