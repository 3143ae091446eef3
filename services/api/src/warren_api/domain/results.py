"""The results of the API's methods, made of what services answer."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from warren_api.domain.rejection import RejectionError
from warren_api.domain.requests import HistoryRequest, StreamPosition
from warren_shared.contracts.codes import Errors
from warren_shared.contracts.history import Page, ReadRequest, StoredPublication
from warren_shared.contracts.presence import Member, Members, Stats

Result = dict[str, Any]
"""JSON, in which Raw stands for JSON that is written as it is."""


def presence_result(members: Members) -> Result:
    """Return who is in a channel, by client id."""
    return {"presence": {member.client: _info(member) for member in members.members}}


def presence_stats_result(stats: Stats) -> Result:
    """Return how many there are."""
    return {"num_clients": stats.clients, "num_users": stats.users}


def read_request_of(request: HistoryRequest) -> ReadRequest:
    """Return what history is asked."""
    return ReadRequest(
        channel=request.channel,
        limit=request.limit or 0,
        since_offset=None if request.since is None else request.since.offset,
        reverse=bool(request.reverse),
    )


def history_result(page: Page, since: StreamPosition | None) -> Result:
    """Return a page. Raises RejectionError 112 where ``since`` is of another epoch than the stream now."""
    if since is not None and since.epoch and since.epoch != page.epoch:
        raise RejectionError(Errors.UNRECOVERABLE_POSITION)
    publications = [_publication(publication) for publication in page.publications]
    return {"publications": publications, "offset": page.top, "epoch": page.epoch}


def _publication(publication: StoredPublication) -> Result:
    payload = {"data": None, "b64data": publication.data} if publication.binary else {"data": _json(publication.data)}
    result: Result = {"offset": publication.offset, **payload}
    if publication.info is not None:
        result["info"] = _json(publication.info)
    if publication.tags:
        result["tags"] = publication.tags
    return result


def _info(member: Member) -> Result:
    result: Result = {"client": member.client, "user": member.user}
    if member.conn_info is not None:
        result["conn_info"] = _json(member.conn_info)
    if member.chan_info is not None:
        result["chan_info"] = _json(member.chan_info)
    return result


def _json(text: str) -> Raw:
    return Raw(text.encode())
