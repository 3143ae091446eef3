"""How a publication's content lies in a row."""

from __future__ import annotations

from typing import Any, Final

import orjson

from warren_history.domain.publications import Content

CONTENT_COLUMNS: Final = "data, binary, content_type, info, tags"
"""In the order of ``content_row``."""

ContentRow = tuple[bytes, int, str | None, str | None, str | None]


def content_row(content: Content) -> ContentRow:
    """Return a content's columns."""
    tags = orjson.dumps(dict(content.tags)).decode() if content.tags else None
    return content.data, int(content.binary), content.content_type, content.info, tags


def content_of(row: tuple[Any, ...]) -> Content:
    """Return the content of columns."""
    data, binary, content_type, info, tags = row
    if tags is None:
        return Content(data, bool(binary), content_type, info)
    return Content(data, bool(binary), content_type, info, orjson.loads(tags))
