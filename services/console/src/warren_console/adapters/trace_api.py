"""The JSON API of the trace store."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import BaseModel

from warren_console.adapters.trace_view import SummaryView, TraceListView, TraceView
from warren_console.domain.traces import TraceStore
from warren_console.domain.waterfall import assemble

LAST: Final = "last"
"""Stands for the id of the last publication's trace."""

_LISTED: Final = 50
"""Publications; and as many other traces, which are far more often made, such as requests for presence."""


class TraceApi:
    """Lists traces and shows one as a waterfall."""

    def __init__(self, store: TraceStore) -> None:
        self._store = store

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/api/traces", self.get_traces)
        app.router.add_get("/api/traces/{trace_id:last|[0-9a-f]{32}}", self.get_trace)

    async def get_traces(self, _: web.Request) -> web.Response:
        """List the newest traces, those of publications first."""
        return _json(
            TraceListView(
                revision=self._store.revision,
                last_publication=self._store.last_publication(),
                traces=[SummaryView.of(summary) for summary in self._store.summaries(_LISTED)],
            )
        )

    async def get_trace(self, request: web.Request) -> web.Response:
        """Show one trace with what links to it; 404 if the store does not hold it."""
        wanted = request.match_info["trace_id"]
        trace_id = self._store.last_publication() if wanted == LAST else wanted
        spans = self._store.spans_of(trace_id) if trace_id else ()
        if not trace_id or not spans:
            return web.json_response({"error": "no such trace"}, status=404)
        return _json(TraceView.of(assemble(trace_id, spans, self._store.linked_to(trace_id))))


def _json(view: BaseModel) -> web.Response:
    return web.Response(text=view.model_dump_json(), content_type="application/json")
