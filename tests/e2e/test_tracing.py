"""One trace from a publisher to the sockets, exported by all four real processes."""

from __future__ import annotations

import secrets
import time

import aiohttp
import pytest
from clients.backend import Backend
from clients.party import Clients
from clients.sdk import connected, subscribed
from eventually import eventually
from staging.otlp_receiver import ReceivedSpan
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]
PARENT = "00f067aa0ba902b7"
SERVICES = {"warren-auth", "warren-presence", "warren-history", "warren-gateway"}


async def trace_with(suite: Suite, trace: str, *names: str) -> list[ReceivedSpan]:
    """Wait until a trace has spans of these names (one given twice: two of them), and return them all."""

    def complete() -> bool:
        have = [span.name for span in suite.receiver.of_trace(trace)]
        return all(have.count(name) >= names.count(name) for name in names)

    await eventually(complete, what=f"{names} in {[span.name for span in suite.receiver.of_trace(trace)]}")
    return suite.receiver.of_trace(trace)


def named(spans: list[ReceivedSpan], name: str) -> list[ReceivedSpan]:
    return [span for span in spans if span.name == name]


async def test_a_durable_publication_is_one_trace_from_the_publishers_span_to_every_gateways_delivery(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel, trace = f"chat:{unique}", secrets.token_hex(16)
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    bob = await subscribed(await connected(await clients.make("js", 1, "bob")), channel)

    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, "traced", headers={"traceparent": f"00-{trace}-{PARENT}-01"})
    for client in (alice, bob):
        await client.log.one("publication", channel)

    deliver = "deliver warren.deliver"
    spans = await trace_with(suite, trace, "process warren.history", "publish warren.deliver", deliver, deliver)
    (process,), (publish,) = named(spans, "process warren.history"), named(spans, "publish warren.deliver")
    delivers = named(spans, deliver)
    assert (process.service, process.kind, process.parent) == ("warren-history", "CONSUMER", PARENT)
    assert (publish.service, publish.kind, publish.parent) == ("warren-history", "PRODUCER", process.span)
    assert len(delivers) == 2
    for span in delivers:
        assert (span.service, span.kind, span.parent) == ("warren-gateway", "CONSUMER", publish.span)
        assert publish.start <= span.start <= span.end
        assert span.links == ((trace, publish.span),)
        assert span.attributes["warren.channel"] == channel
        assert span.attributes["warren.recipients"] == "1"
    assert len({span.instance for span in delivers}) == 2


async def test_a_durable_publication_of_a_backend_that_traces_nothing_is_a_trace_that_begins_in_history(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    await subscribed(await connected(await clients.make("python", 0, "alice")), channel)

    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, "said nothing of traces")

    def begun() -> list[ReceivedSpan]:
        spans = [span for span in list(suite.receiver.spans) if span.name == "process warren.history"]
        return [span for span in spans if span.attributes.get("warren.channel") == channel]

    await eventually(lambda: bool(begun()), what="history's span of the publication")
    (process,) = begun()
    assert process.parent == ""
    spans = await trace_with(suite, process.trace, "publish warren.deliver", "deliver warren.deliver")
    (publish,), (deliver,) = named(spans, "publish warren.deliver"), named(spans, "deliver warren.deliver")
    assert (publish.parent, deliver.parent) == (process.span, publish.span)


async def test_a_live_publication_is_one_trace_without_any_service_between(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel, trace = f"live:{unique}", secrets.token_hex(16)
    await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    await subscribed(await connected(await clients.make("js", 1, "bob")), channel)

    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, "traced", headers={"traceparent": f"00-{trace}-{PARENT}-01"})

    spans = await trace_with(suite, trace, "deliver warren.deliver", "deliver warren.deliver")
    assert [(span.service, span.parent) for span in spans] == [("warren-gateway", PARENT)] * 2


async def test_a_publication_that_is_not_sampled_makes_no_spans(suite: Suite, clients: Clients, unique: str) -> None:
    channel, unsampled, sampled = f"chat:{unique}", secrets.token_hex(16), secrets.token_hex(16)
    await subscribed(await connected(await clients.make("python", 0, "alice")), channel)

    async with Backend.connected(suite.backend_url) as backend:
        await backend.publish(channel, 1, headers={"traceparent": f"00-{unsampled}-{PARENT}-00"})
        await backend.publish(channel, 2, headers={"traceparent": f"00-{sampled}-{PARENT}-01"})

    await trace_with(suite, sampled, "deliver warren.deliver")
    assert suite.receiver.of_trace(unsampled) == []


async def test_a_clients_publication_begins_a_trace_of_ours_that_is_linked_to_the_clients_own(
    suite: Suite, clients: Clients, unique: str
) -> None:
    channel, foreign = f"chat:{unique}", secrets.token_hex(16)
    await subscribed(await connected(await clients.make("js", 1, "bob")), channel)
    headers = {"traceparent": f"00-{foreign}-{PARENT}-01"}
    async with clients.raw(additional_headers=headers) as alice:
        await alice.connect(suite.token("alice"))
        await alice.subscribe(channel)
        assert "error" not in await alice.call(publish={"channel": channel, "data": "traced"})
        await alice.publications(channel)

    def rooted() -> list[ReceivedSpan]:
        return [
            span
            for span in list(suite.receiver.spans)
            if span.name == "publish warren.publish" and (foreign, PARENT) in span.links
        ]

    await eventually(lambda: bool(rooted()), what="a root that is linked to the client's span")
    (root,) = rooted()
    assert (root.service, root.kind, root.parent) == ("warren-gateway", "PRODUCER", "")
    assert root.trace != foreign
    deliver = "deliver warren.deliver"
    spans = await trace_with(suite, root.trace, "process warren.history", deliver, deliver)
    (process,) = named(spans, "process warren.history")
    assert process.parent == root.span
    assert suite.receiver.of_trace(foreign) == []


async def test_a_connect_is_a_trace_over_gateway_and_auth(suite: Suite, clients: Clients) -> None:
    began = time.time_ns()  # spans of earlier connects may still be on their way here
    async with clients.raw() as alice:
        await alice.connect(suite.token("alice"))

    def served() -> list[ReceivedSpan]:
        return [span for span in list(suite.receiver.spans) if span.service == "warren-auth" and span.start > began]

    await eventually(lambda: bool(served()), what="a span of auth")
    (server,) = served()
    assert server.kind == "SERVER"
    assert server.parent

    def asked() -> list[ReceivedSpan]:
        return [span for span in suite.receiver.of_trace(server.trace) if span.span == server.parent]

    await eventually(lambda: bool(asked()), what="the gateway's span above auth's")
    (client,) = asked()
    assert (client.service, client.kind) == ("warren-gateway", "CLIENT")


async def test_all_four_services_export_and_names_are_few(suite: Suite, clients: Clients, unique: str) -> None:
    channel = f"chat:{unique}"
    alice = await subscribed(await connected(await clients.make("python", 0, "alice")), channel)
    await alice.presence(channel)
    await alice.history(channel, limit=1)

    await eventually(lambda: {span.service for span in list(suite.receiver.spans)} >= SERVICES)

    names = {span.name for span in suite.receiver.spans}
    assert len(names) <= 24, names
    assert not any(unique in name or ":" in name for name in names), names


async def test_a_publication_over_http_continues_its_callers_trace(suite: Suite, unique: str) -> None:
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    headers = {"X-API-Key": suite.setting.api_key, "traceparent": f"00-{trace}-{span}-01"}
    body = {"channel": f"chat:{unique}", "data": 1}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{suite.api_url}/publish", json=body, headers=headers) as answer,
    ):
        assert await answer.json() == {"result": {}}
    spans = await trace_with(suite, trace, "POST /api/{method}", "publish warren.publish", "process warren.history")
    by_name = {each.name: each for each in spans}
    assert by_name["POST /api/{method}"].parent == span
    assert by_name["publish warren.publish"].parent == by_name["POST /api/{method}"].span
    assert by_name["process warren.history"].parent == by_name["publish warren.publish"].span
