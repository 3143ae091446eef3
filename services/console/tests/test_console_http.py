"""The console's HTTP side: the page, what guards it, its configuration and development tokens."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from jwt.types import Options
from structlog.testing import capture_logs

from warren_console.adapters.dev_tokens import DevTokens
from warren_console.adapters.http import STATIC, Guarding, Page, make_console
from warren_console.domain.hosts import LOOPBACK_NAMES, host_allowed, is_loopback
from warren_console.domain.traces import TraceStore
from warren_console.metrics import Counters
from warren_shared.contracts.namespaces import parse_namespaces

Client = TestClient[web.Request, web.Application]
Serve = Callable[[web.Application], Awaitable[Client]]

SECRET = "s" * 32
SDK = "globalThis.Centrifuge = class {};\n"
NAMESPACES = parse_namespaces(
    """
    without_namespace: {allow_subscribe_for_client: true}
    namespaces:
      - {name: chat, history_size: 10, history_ttl: 1h, force_recovery: true, presence: true, join_leave: true,
         allow_subscribe_for_client: true, allow_publish_for_subscriber: true, allow_presence_for_subscriber: true}
      - {name: live, allow_publish_for_client: true}
    """
)


class FixedClock:
    """A clock that stands still."""

    def now(self) -> float:
        return 1_000_000.5

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def make(serve: Serve, sdk: Path, counters: Counters) -> Callable[..., Awaitable[Client]]:
    """Start a console; by default on loopback, with development tokens."""

    async def start(
        *,
        hosts: frozenset[str] = LOOPBACK_NAMES,
        gateway_urls: tuple[str, ...] = (),
        dev_tokens: bool = True,
        audience: str = "",
    ) -> Client:
        tokens = DevTokens(SECRET, ttl_seconds=60, audience=audience, clock=FixedClock(), counters=counters)
        page = Page(
            sdk=sdk,
            namespaces=lambda: NAMESPACES,
            gateway_urls=gateway_urls,
            dev_tokens=tokens if dev_tokens else None,
        )
        return await serve(make_console(page, TraceStore(), Guarding(hosts=hosts, counters=counters)))

    return start


Make = Callable[..., Awaitable[Client]]
EVERYTHING = [
    "/",
    "/config.json",
    "/sdk/centrifuge.js",
    "/static/js/main.js",
    "/api/traces",
    "/api/traces/last",
    "/dev/token?user=alice",
    "/static/no/such/file",
    "/no/such/page",
]


@pytest.mark.parametrize("path", EVERYTHING)
async def test_every_answer_carries_the_security_headers(make: Make, path: str) -> None:
    response = await (await make()).get(path)
    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(
        policy.split("; ")
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "aiohttp" not in response.headers["Server"]


@pytest.mark.parametrize("path", EVERYTHING)
async def test_a_foreign_host_name_gets_nothing(make: Make, counters: Counters, path: str) -> None:
    client = await make()
    with capture_logs() as logs:
        response = await client.get(path, headers={"Host": "rebound.example:8080"})
    assert response.status == 421
    assert "rebound" not in await response.text()
    assert "rebound" not in str(response.headers)
    assert (counters.hosts_refused, counters.dev_tokens) == (1, 0)
    assert [log["event"] for log in logs] == ["host_refused"]


async def test_exporters_reach_the_receiver_under_any_name(make: Make) -> None:
    client = await make()
    headers = {"Host": "console:8080", "Content-Type": "application/json"}
    assert (await client.post("/v1/traces", data=b"{}", headers=headers)).status == 200


@pytest.mark.parametrize("host", ["localhost:8080", "LOCALHOST", "127.0.0.1", "[::1]:8080", "localhost.:80"])
def test_loopback_names_are_allowed_in_every_spelling(host: str) -> None:
    assert host_allowed(host, LOOPBACK_NAMES)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "evil.example:localhost", "127.0.0.1.evil.example"]
)
def test_other_names_are_refused(host: str) -> None:
    assert not host_allowed(host, LOOPBACK_NAMES)


@pytest.mark.parametrize("host", ["", "a b", "x;script-src *", "x'", "\u00fc.example", "a/b", "a" * 300])
def test_without_a_list_any_legal_name_is_allowed_and_no_other(host: str) -> None:
    assert host_allowed("console.internal:8080", ())
    assert not host_allowed(host, ())


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("console", False)],
)
def test_what_is_loopback(address: str, *, loopback: bool) -> None:
    assert is_loopback(address) is loopback


async def test_the_page_has_no_inline_code_and_only_assets_that_exist(make: Make) -> None:
    client = await make()
    page = await (await client.get("/")).text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", page)
    assets = set(re.findall(r'(?:src|href)="(/[^"]+)"', page))
    assert "/sdk/centrifuge.js" in assets
    for asset in assets:
        assert (await client.get(asset)).status == 200, asset
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)


def test_scripts_load_nothing_from_elsewhere_and_never_parse_markup() -> None:
    for script in (STATIC / "js").glob("*.js"):
        text = script.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            script
        )
        for imported in re.findall(r'from "([^"]+)"', text):
            assert (script.parent / imported).is_file(), (script, imported)


async def test_the_sdk_is_served_from_its_package(make: Make) -> None:
    response = await (await make()).get("/sdk/centrifuge.js")
    assert await response.text() == SDK
    assert "javascript" in response.content_type


@pytest.mark.parametrize(
    "path", ["/static/../settings.py", "/static/%2e%2e/settings.py", "/static/..%2fsettings.py", "/static/js/"]
)
async def test_only_assets_are_served(make: Make, path: str) -> None:
    response = await (await make()).get(path)
    assert response.status in (403, 404)


async def test_the_configuration_names_gateways_and_what_namespaces_allow(make: Make) -> None:
    client = await make(gateway_urls=("ws://{host}:8000/connection/websocket", "wss://b.example/connection/websocket"))
    config = await (await client.get("/config.json", headers={"Host": "localhost:8080"})).json()
    assert config["gateways"] == ["ws://localhost:8000/connection/websocket", "wss://b.example/connection/websocket"]
    assert config["dev_tokens"] is True
    by_name = {namespace["name"]: namespace for namespace in config["namespaces"]}
    assert set(by_name) == {"", "chat", "live"}
    flags = ("durable", "recovery", "presence", "join_leave", "subscribe", "publish")
    assert [by_name["chat"][flag] for flag in flags] == [True] * 6
    assert [by_name["live"][flag] for flag in flags] == [False] * 5 + [True]


async def test_the_page_may_connect_to_the_gateways_and_nowhere_else(make: Make) -> None:
    client = await make(gateway_urls=("ws://{host}:8000/connection/websocket", "wss://b.example/connection/websocket"))
    policy = (await client.get("/", headers={"Host": "localhost:8080"})).headers["Content-Security-Policy"]
    assert "connect-src 'self' ws://localhost:8000 wss://b.example;" in policy


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("console.internal:8080", "ws://console.internal:8000/connection/websocket"),
        ("[::1]:8080", "ws://[::1]:8000/connection/websocket"),
    ],
)
async def test_without_configured_gateways_they_are_where_the_page_is(make: Make, host: str, url: str) -> None:
    client = await make(hosts=frozenset())
    config = await (await client.get("/config.json", headers={"Host": host})).json()
    assert config["gateways"] == [url]


async def test_a_development_token_is_a_signed_connection_token(make: Make, counters: Counters) -> None:
    client = await make(audience="warren")
    with capture_logs() as logs:
        answer = await (await client.get("/dev/token", params={"user": "alice"})).json()
    unchecked: Options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(answer["token"], SECRET, algorithms=["HS256"], audience="warren", options=unchecked)
    assert claims == {"sub": "alice", "iat": 1_000_000, "exp": 1_000_060, "aud": "warren"}
    assert (answer["expires_in"], counters.dev_tokens) == (60, 1)
    assert answer["token"] not in str(logs)


@pytest.mark.parametrize("user", ["", "u" * 129, "tab\tbed", "line\nfeed"])
async def test_a_development_token_needs_a_user(make: Make, user: str) -> None:
    assert (await (await make()).get("/dev/token", params={"user": user})).status == 400


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
async def test_pages_of_other_sites_get_no_development_token(make: Make, site: str, status: int) -> None:
    client = await make()
    assert (await client.get("/dev/token?user=alice", headers={"Sec-Fetch-Site": site})).status == status


async def test_without_a_secret_there_are_no_development_tokens(make: Make) -> None:
    client = await make(dev_tokens=False)
    assert (await client.get("/dev/token?user=alice")).status == 404
    assert (await (await client.get("/config.json")).json())["dev_tokens"] is False
