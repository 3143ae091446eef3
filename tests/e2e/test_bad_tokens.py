"""Tokens that must not open a connection."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable

import pytest
from clients.party import Clients
from staging.programs import AUDIENCE
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.usefixtures("bystander")]
GATEWAY = "gateway-1"


def claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    everything = {"sub": "mallory", "iat": now, "exp": now + 60, "aud": AUDIENCE, **changes}
    return {name: value for name, value in everything.items() if value is not None}


def tampered(token: str) -> str:
    head, payload, signature = token.split(".")
    document = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    forged = json.dumps({**document, "sub": "admin"}).encode()
    return ".".join((head, base64.urlsafe_b64encode(forged).rstrip(b"=").decode(), signature))


INVALID: dict[str, Callable[[Suite], str]] = {
    "garbage": lambda _: "garbage",
    "garbage in three parts": lambda _: "a.b.c",
    "alg none": lambda suite: suite.sign(claims(), algorithm="none"),
    "another secret": lambda suite: suite.sign(claims(), secret="x" * 32),
    "claims changed after signing": lambda suite: tampered(suite.token("mallory")),
    "wrong audience": lambda suite: suite.sign(claims(aud="somebody-else")),
    "no audience": lambda suite: suite.sign(claims(aud=None)),
    "a subscription token": lambda suite: suite.sign(claims(channel="chat:a")),
    "a subject that is no text": lambda suite: suite.sign(claims(sub=["admin"])),
    "channels that are no list": lambda suite: suite.sign(claims(channels="chat:a")),
    "endlessly long": lambda suite: suite.sign(claims(info={"x": "y" * 20_000})),
}


@pytest.mark.parametrize("make", INVALID.values(), ids=INVALID)
async def test_an_invalid_token_ends_the_connection_for_good(
    suite: Suite, clients: Clients, make: Callable[[Suite], str]
) -> None:
    async with (
        suite.counting("auth", "warren_auth_requests_total", method="auth.connect", outcome="invalid_token"),
        suite.counting(GATEWAY, "warren_gateway_disconnects_total", code="3500"),
        suite.logging(GATEWAY, "client_disconnected", code=3500),
        clients.raw() as client,
    ):
        await client.send(json.dumps({"id": 1, "connect": {"token": make(suite)}}))

        assert await client.closed() == (3500, "invalid token")


@pytest.mark.parametrize(
    "changes", [{"exp": int(time.time()) - 60}, {"nbf": int(time.time()) + 3600}], ids=["expired", "not yet valid"]
)
async def test_a_token_out_of_its_time_is_answered_109(
    suite: Suite, clients: Clients, changes: dict[str, object]
) -> None:
    token = suite.sign(claims(**changes))
    async with (
        suite.counting("auth", "warren_auth_requests_total", method="auth.connect", outcome="expired_token"),
        suite.counting(GATEWAY, "warren_gateway_error_replies_total", code="109"),
        clients.raw() as client,
    ):
        assert await client.error(connect={"token": token}) == 109


async def test_without_a_token_nobody_is_let_in(suite: Suite, clients: Clients) -> None:
    async with suite.counting(GATEWAY, "warren_gateway_disconnects_total", code="3501"), clients.raw() as client:
        await client.send('{"id": 1, "connect": {}}')

        assert (await client.closed())[0] == 3501


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_every_hmac_algorithm_is_accepted(suite: Suite, clients: Clients, algorithm: str) -> None:
    async with clients.raw() as client:
        await client.connect(suite.sign(claims(), algorithm=algorithm))


async def test_a_connection_whose_token_is_not_refreshed_ends_with_3005(suite: Suite, clients: Clients) -> None:
    async with suite.counting(GATEWAY, "warren_gateway_disconnects_total", code="3005"), clients.raw() as client:
        result = await client.connect(suite.token("mallory", ttl=2))
        assert result["expires"]
        assert result["ttl"] in (1, 2)

        assert (await client.closed())[0] == 3005


async def test_a_refresh_prolongs_a_connection_beyond_its_first_token(suite: Suite, clients: Clients) -> None:
    async with clients.raw() as brief, clients.raw() as refreshed:
        for client in (brief, refreshed):
            await client.connect(suite.token("mallory", ttl=1))
        reply = await refreshed.call(refresh={"token": suite.token("mallory", ttl=600)})

        assert reply["refresh"]["expires"]
        assert (await brief.closed())[0] == 3005
        await refreshed.subscribe("live:a")


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"sub": "somebody-else"}, 3500), ({"exp": int(time.time()) - 60}, 3005), ({"aud": "other"}, 3500)],
    ids=["of another user", "expired", "wrong audience"],
)
async def test_a_refresh_with_a_wrong_token_ends_the_connection(
    suite: Suite, clients: Clients, changes: dict[str, object], code: int
) -> None:
    async with (
        suite.counting(GATEWAY, "warren_gateway_disconnects_total", code=str(code)),
        clients.raw() as client,
    ):
        await client.connect(suite.token("mallory", ttl=60))
        await client.send(json.dumps({"id": 2, "refresh": {"token": suite.sign(claims(**changes))}}))

        assert (await client.closed())[0] == code
