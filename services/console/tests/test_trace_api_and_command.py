"""The trace API, and the command that prints its answers."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from aiohttp.typedefs import Handler

from warren_console.adapters.http import make_trace_receiver
from warren_console.adapters.terminal import MIN_WIDTH, Terminal, draw
from warren_console.adapters.trace_view import TraceView
from warren_console.domain.spans import Span, SpanKind, SpanRef
from warren_console.domain.traces import TraceStore
from warren_console.domain.waterfall import assemble
from warren_console.trace_command import TraceCommandError, fetch, fetch_settled, main

Client = TestClient[web.Request, web.Application]
Serve = Callable[[web.Application], Awaitable[Client]]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = f"{2:032x}"
MS = 1_000_000
SPANS = (
    Span(
        TRACE, f"{1:016x}", "publish warren.publish", "warren-gateway", 0, 3 * MS, "00f067aa0ba902b7", SpanKind.PRODUCER
    ),
    Span(
        TRACE, f"{2:016x}", "process warren.history", "warren-history", 1 * MS, 8 * MS, f"{1:016x}", SpanKind.CONSUMER
    ),
    Span(TRACE, f"{3:016x}", "append", "warren-history", 2 * MS, 4 * MS, f"{2:016x}", failed=True),
    Span(
        OTHER,
        f"{4:016x}",
        "deliver chat",
        "warren-gateway",
        9 * MS,
        10 * MS,
        kind=SpanKind.CONSUMER,
        links=(SpanRef(TRACE, f"{2:016x}"), SpanRef("f" * 32, "e" * 16)),
    ),
)


@pytest.fixture
def store() -> TraceStore:
    return TraceStore()


@pytest.fixture
async def client(serve: Serve, store: TraceStore) -> Client:
    return await serve(make_trace_receiver(store))


def view() -> TraceView:
    return TraceView.of(assemble(TRACE, SPANS[:3], SPANS[3:]))


async def test_an_empty_store_lists_nothing_and_has_no_last_publication(client: Client) -> None:
    listed = await (await client.get("/api/traces")).json()
    assert (listed["traces"], listed["last_publication"]) == ([], None)
    assert (await client.get("/api/traces/last")).status == 404


async def test_the_list_shows_what_there_is_publications_first(client: Client, store: TraceStore) -> None:
    store.add(SPANS)
    listed = await (await client.get("/api/traces")).json()
    assert [trace["trace_id"] for trace in listed["traces"]] == [TRACE, OTHER]
    assert listed["last_publication"] == TRACE
    assert listed["traces"][0]["services"] == ["warren-gateway", "warren-history"]
    assert listed["traces"][0]["failed"] is True


@pytest.mark.parametrize("wanted", [TRACE, "last"])
async def test_a_trace_comes_as_a_waterfall_with_what_links_to_it(
    client: Client, store: TraceStore, wanted: str
) -> None:
    store.add(SPANS)
    trace = TraceView.model_validate_json(await (await client.get(f"/api/traces/{wanted}")).read())
    assert [(row.relation, row.depth, row.name, row.offset_ms, row.duration_ms) for row in trace.rows] == [
        ("missing", 0, "", 0.0, 0.0),
        ("child", 1, "publish warren.publish", 0.0, 3.0),
        ("child", 2, "process warren.history", 1.0, 7.0),
        ("child", 3, "append", 2.0, 2.0),
        ("linked", 3, "deliver chat", 9.0, 1.0),
    ]
    assert (trace.duration_ms, trace.spans) == (10.0, 4)


@pytest.mark.parametrize("wanted", ["0" * 32, "LAST", "short", "../config.json", TRACE.upper()])
async def test_other_ids_are_not_found(client: Client, store: TraceStore, wanted: str) -> None:
    store.add(SPANS)
    assert (await client.get(f"/api/traces/{wanted}")).status == 404


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", [20, MIN_WIDTH, 100, 220])
def test_no_line_of_the_drawing_is_wider_than_the_terminal(width: int, *, unicode: bool) -> None:
    lines = draw(view(), Terminal(width=width, unicode=unicode))
    assert max(map(len, lines[2:-2])) <= max(width, MIN_WIDTH)
    assert unicode or "\n".join(lines).isascii()


def test_the_drawing_names_services_spans_times_and_links() -> None:
    text = "\n".join(draw(view(), Terminal(width=120)))
    for part in (
        f"trace {TRACE}",
        "4 spans",
        "(parent 00f067aa0ba902b7, not received)",
        "warren-history",
        "process warren.history",
        "+1.00 ms",
        "7.00 ms",
        "append FAILED",
        "deliver chat (linked)",
        f"links to trace {'f' * 32} span {'e' * 16}",
    ):
        assert part in text


def test_bars_lie_where_their_spans_were_in_time() -> None:
    drawn = draw(view(), Terminal(width=120))
    bars = {row.name: line for row, line in zip(view().rows, drawn[4:], strict=False)}
    first = bars["publish warren.publish"].index("\u2588")
    later = bars["process warren.history"].index("\u2588")
    last = bars["deliver chat"].index("\u2588")
    assert first < later < last
    assert bars["process warren.history"].count("\u2588") > 2 * bars["publish warren.publish"].count("\u2588")


def test_colour_is_used_only_where_the_terminal_shows_it() -> None:
    assert "\x1b[" in "".join(draw(view(), Terminal(colour=True)))
    assert "\x1b[" not in "".join(draw(view(), Terminal(colour=False)))


def test_a_trace_without_any_duration_can_be_drawn() -> None:
    instant = Span(TRACE, f"{1:016x}", "instant", "warren-gateway", 5, 5)
    assert "instant" in "\n".join(draw(TraceView.of(assemble(TRACE, [instant])), Terminal()))


async def test_fetch_returns_what_the_console_holds(client: Client, store: TraceStore) -> None:
    store.add(SPANS)
    assert await fetch(str(client.make_url("")), "last") == view()


async def test_a_fresh_trace_is_asked_for_again_when_all_exporters_had_time(serve: Serve, store: TraceStore) -> None:
    now = time.time_ns()
    store.add([replace(SPANS[0], start_ns=now - MS, end_ns=now)])
    app = make_trace_receiver(store)

    @web.middleware
    async def late_span(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        store.add([replace(SPANS[1], start_ns=now, end_ns=now + MS)])
        return response

    app.middlewares.append(late_span)
    client = await serve(app)
    assert (await fetch_settled(str(client.make_url("")), "last", settling=0.5)).spans == 2


async def test_an_old_trace_is_shown_at_once(client: Client, store: TraceStore) -> None:
    store.add(SPANS)
    async with asyncio.timeout(5):
        assert (await fetch_settled(str(client.make_url("")), TRACE, settling=3_600)).spans == 4


async def test_fetch_says_what_is_missing(client: Client) -> None:
    url = str(client.make_url(""))
    with pytest.raises(TraceCommandError, match="no publication has been traced yet"):
        await fetch(url, "last")
    with pytest.raises(TraceCommandError, match=f"does not hold {TRACE}"):
        await fetch(url, TRACE)


async def test_fetch_says_that_something_else_answers(serve: Serve) -> None:
    async def other(_: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    app = web.Application()
    app.router.add_get("/api/traces/last", other)
    stranger = await serve(app)
    with pytest.raises(TraceCommandError, match="is no console"):
        await fetch(str(stranger.make_url("")), "last")


def test_without_a_console_the_command_prints_one_line_and_fails(
    capsys: pytest.CaptureFixture[str], unused_tcp_port: int
) -> None:
    assert main(["--url", f"http://127.0.0.1:{unused_tcp_port}"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "make run" in captured.err


@pytest.mark.parametrize("arguments", [["nonsense"], ["--last", TRACE]])
def test_wrong_arguments_are_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "usage:" in capsys.readouterr().err


async def test_the_command_prints_plain_text_into_a_pipe(client: Client, store: TraceStore, tmp_path: Path) -> None:
    store.add(SPANS)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "warren_console.trace_command",
        "--last",
        "--url",
        str(client.make_url("")),
        stdout=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "100"},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert b"process warren.history" in output
    assert output.isascii()
    assert b"\x1b" not in output
