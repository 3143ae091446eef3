"""The JavaScript SDK in a browser that no WebSocket gets through to: a page of another origin, two gateways."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import pytest
from browser.console_page import Open
from staging.suite import Suite

pytestmark = [pytest.mark.browser, pytest.mark.broker]
TALK: Final = """async ({ transports, emulation, token, channel }) => {
  const client = new Centrifuge(transports, { emulationEndpoint: emulation, token });
  const got = [];
  const connected = new Promise((resolve) => client.once("connected", resolve));
  const room = client.newSubscription(channel);
  const all = new Promise((resolve) => room.on("publication", ({ data }) => got.push(data) === 3 && resolve()));
  const subscribed = new Promise((resolve) => room.once("subscribed", resolve));
  room.subscribe();
  client.connect();
  const { transport } = await connected;
  await subscribed;
  for (const number of [1, 2, 3]) await room.publish({ number, text: "h\\u00e9llo" });
  await all;
  const ended = new Promise((resolve) => client.once("disconnected", resolve));
  client.disconnect();
  await ended;
  return { transport, got };
}"""


@pytest.mark.parametrize("kind", ["http_stream", "sse"])
def test_it_falls_back_to_http_and_sends_its_commands_to_another_gateway(
    window: Open, suite: Suite, channel: str, kind: str
) -> None:
    first, second = (urlsplit(url) for url in suite.gateway_urls)
    page = window(bypass_csp=True).page
    told = page.evaluate(
        TALK,
        {
            "transports": [
                {"transport": "websocket", "endpoint": "ws://127.0.0.1:1/connection/websocket"},
                {"transport": kind, "endpoint": first._replace(scheme="http", path=f"/connection/{kind}").geturl()},
            ],
            "emulation": second._replace(scheme="http", path="/emulation").geturl(),
            "token": suite.token("alice"),
            "channel": channel,
        },
    )
    assert told == {"transport": kind, "got": [{"number": number, "text": "h\u00e9llo"} for number in (1, 2, 3)]}
