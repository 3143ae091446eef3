"""The OTLP/HTTP trace receiver: POST /v1/traces.

Follows the OpenTelemetry protocol specification, section OTLP/HTTP: Protobuf or JSON, optionally
gzipped (aiohttp decompresses), answered in the encoding of the request.
"""

from __future__ import annotations

from typing import Final

import structlog
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # googleapis-common-protos has no stubs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from warren_console.adapters.otlp_decoding import OtlpError, decode_json, decode_protobuf
from warren_console.domain.traces import TraceStore
from warren_console.metrics import Counters

PATH: Final = "/v1/traces"
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

_DECODERS: Final = {PROTOBUF: decode_protobuf, JSON: decode_json}
_INVALID_ARGUMENT: Final = 3
"""google.rpc.Code for a request that would fail again."""

_log = structlog.get_logger()


class OtlpReceiver:
    """Puts the spans exporters send into the trace store."""

    def __init__(self, store: TraceStore, counters: Counters) -> None:
        self._store = store
        self._counters = counters

    def add_to(self, app: web.Application) -> None:
        """Register the route. The application's ``client_max_size`` bounds the decompressed body."""
        app.router.add_post(PATH, self.post_traces)

    async def post_traces(self, request: web.Request) -> web.Response:
        """Take one export. Exporters are processes: whatever carries an Origin is a web page."""
        decode = _DECODERS.get(request.content_type)
        if "Origin" in request.headers:
            return self._rejected(request, 403, "spans are not accepted from web pages")
        if decode is None:
            return self._rejected(request, 415, f"Content-Type must be {PROTOBUF} or {JSON}")
        try:
            decoded = decode(await request.read())
        except web.HTTPRequestEntityTooLarge:
            return self._rejected(request, 413, "body is too large")
        except (OtlpError, web.RequestPayloadError) as error:
            return self._rejected(request, 400, str(error))
        refused = self._store.add(decoded.spans)
        self._counters.spans_invalid += decoded.invalid
        return _answer(request, _response(refused, decoded.invalid))

    def _rejected(self, request: web.Request, status: int, reason: str) -> web.Response:
        self._counters.otlp_rejected += 1
        _log.warning("otlp_request_rejected", status=status, reason=reason, peer=request.remote)
        return _answer(request, Status(code=_INVALID_ARGUMENT, message=reason), status)


def _response(refused: int, invalid: int) -> ExportTraceServiceResponse:
    response = ExportTraceServiceResponse()
    if refused or invalid:
        response.partial_success.rejected_spans = refused + invalid
        response.partial_success.error_message = f"{invalid} with invalid ids, {refused} of traces that are full"
    return response


def _answer(request: web.Request, message: Message, status: int = 200) -> web.Response:
    if request.content_type == JSON:
        return web.Response(status=status, text=json_format.MessageToJson(message, indent=None), content_type=JSON)
    return web.Response(status=status, body=message.SerializeToString(), content_type=PROTOBUF)
