"""The HTTP API with `cent`, the client that Centrifugo's users have, unmodified, against the running suite."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import cent
import pytest
from cent import AsyncClient
from clients.party import Clients
from clients.sdk import SdkClient, connected, subscribed
from eventually import eventually
from staging.programs import GATEWAYS
from staging.suite import Suite

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


@pytest.fixture
async def api(suite: Suite) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(suite.api_url, suite.setting.api_key, timeout=15) as client:
        yield client


async def id_of(client: SdkClient) -> str:
    return str((await client.log.one("connected"))["client"])


async def test_a_publication_arrives_with_its_tags_and_its_data_as_it_was_written(
    api: AsyncClient, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    subscriber = await subscribed(await connected(await clients.make("js", 1, "reader")), channel)
    await api.publish(cent.PublishRequest(channel=channel, data={"n": 1}, tags={"kind": "test"}))
    got = await subscriber.log.one("publication", channel)
    assert (got["data"], got["offset"], got["tags"]) == ({"n": 1}, 1, {"kind": "test"})


async def test_an_idempotency_key_stores_a_publication_once(api: AsyncClient, unique: str) -> None:
    channel = f"chat:{unique}"
    for number in range(2):
        request = cent.PublishRequest(channel=channel, data={"n": number}, idempotency_key=f"key-{unique}")
        await api.publish(request)
    await api.publish(cent.PublishRequest(channel=channel, data={"n": "last"}))
    history = await until_stored(api, channel, {"n": "last"})
    assert [each.data for each in history.publications] == [{"n": 0}, {"n": "last"}]


async def until_stored(api: AsyncClient, channel: str, last: object) -> cent.HistoryResult:
    """Return a channel's stream once it ends with a publication: a confirm comes before history has stored it."""
    read: list[cent.HistoryResult] = []

    async def stored() -> bool:
        read.append(await api.history(cent.HistoryRequest(channel=channel, limit=-1)))
        return bool(read[-1].publications) and read[-1].publications[-1].data == last

    await eventually(stored, what=f"{last} stored in {channel}")
    return read[-1]


async def test_a_broadcast_says_for_each_channel_how_it_went(api: AsyncClient, unique: str) -> None:
    channels = [f"chat:{unique}", f"nowhere:{unique}", f"live:{unique}", f"chat:{unique}.*"]
    result = await api.broadcast(cent.BroadcastRequest(channels=channels, data={"n": 1}))
    assert [each.error.code if each.error else 0 for each in result.responses] == [0, 102, 0, 107]


async def test_binary_data_and_json_in_base64_arrive(api: AsyncClient, clients: Clients, unique: str) -> None:
    channel = f"chat:{unique}"
    subscriber = await subscribed(await connected(await clients.make("python", 0, "reader")), channel)
    b64data = base64.b64encode(b'{"n":2}').decode()
    await api.publish(cent.PublishRequest(channel=channel, data=None, b64data=b64data))
    assert (await subscriber.log.one("publication", channel))["data"] == {"n": 2}


async def until_present(api: AsyncClient, channel: str, count: int) -> dict[str, cent.ClientInfo]:
    """Return who is in a channel once so many are: a gateway tells presence after it has told its client."""
    found: list[dict[str, cent.ClientInfo]] = []

    async def present() -> bool:
        found.append((await api.presence(cent.PresenceRequest(channel=channel))).presence)
        return len(found[-1]) == count

    await eventually(present, what=f"{count} present in {channel}")
    return found[-1]


async def test_presence_names_who_is_there(api: AsyncClient, clients: Clients, unique: str) -> None:
    channel = f"chat:{unique}"
    members = [await subscribed(await connected(await clients.make("js", each, unique)), channel) for each in (0, 1)]
    presence = await until_present(api, channel, 2)
    assert set(presence) == {await id_of(each) for each in members}
    stats = await api.presence_stats(cent.PresenceStatsRequest(channel=channel))
    assert (stats.num_clients, stats.num_users) == (2, 1)
    assert {each.user for each in presence.values()} == {unique}


async def test_history_is_read_from_a_position_and_removed(api: AsyncClient, unique: str) -> None:
    channel = f"chat:{unique}"
    for number in range(5):
        await api.publish(cent.PublishRequest(channel=channel, data=number))
    whole = await until_stored(api, channel, 4)
    since = cent.StreamPosition(offset=2, epoch=whole.epoch)
    page = await api.history(cent.HistoryRequest(channel=channel, limit=2, since=since))
    assert [(each.offset, each.data) for each in page.publications] == [(3, 2), (4, 3)]
    backwards = await api.history(cent.HistoryRequest(channel=channel, limit=2, reverse=True))
    assert [each.offset for each in backwards.publications] == [5, 4]

    await api.history_remove(cent.HistoryRemoveRequest(channel=channel))
    empty = await api.history(cent.HistoryRequest(channel=channel, limit=-1))
    assert (empty.publications, empty.offset, empty.epoch) == ([], 5, whole.epoch)

    other = cent.HistoryRequest(channel=channel, limit=1, since=cent.StreamPosition(offset=1, epoch="other"))
    assert await code_of(api.history(other)) == 112


async def code_of(call: object) -> int:
    """Return the error a call of the API ends with."""
    with pytest.raises(cent.CentApiResponseError) as raised:
        await call  # type: ignore[misc]  # cent's calls are awaitable
    return int(raised.value.code)


async def test_a_user_is_subscribed_unsubscribed_refreshed_and_disconnected(
    api: AsyncClient, clients: Clients, unique: str
) -> None:
    channel = f"chat:{unique}"
    user = await connected(await clients.make("js", 1, unique))
    await api.subscribe(cent.SubscribeRequest(user=unique, channel=channel, info={"role": "host"}))
    await user.log.one("subscribed", channel)
    presence = await until_present(api, channel, 1)
    assert [each.chan_info for each in presence.values()] == [{"role": "host"}]
    await api.unsubscribe(cent.UnsubscribeRequest(user=unique, channel=channel))
    await user.log.one("unsubscribed", channel)
    await api.refresh(cent.RefreshRequest(user=unique, expired=True))
    await user.log.until("connected", count=2)
    assert user.log.all("connecting")[-1]["code"] == 3005
    await api.disconnect(cent.DisconnectRequest(user=unique, disconnect=cent.Disconnect(code=4777, reason="bye")))
    assert (await user.log.one("disconnected"))["code"] == 4777


async def test_info_counts_the_clients_of_every_gateway(api: AsyncClient, clients: Clients, unique: str) -> None:
    await subscribed(await connected(await clients.make("js", 0, unique)), f"chat:{unique}")

    async def counted() -> bool:
        nodes = {node.name: node for node in (await api.info(cent.InfoRequest())).nodes}
        first = nodes.get(GATEWAYS[0])
        return set(nodes) == set(GATEWAYS) and first is not None and min(first.num_clients, first.num_subs) >= 1

    await eventually(counted, what="heartbeats with counts of both gateways")


async def test_a_batch_is_answered_in_its_order(api: AsyncClient, unique: str) -> None:
    channel = f"live:{unique}"
    for parallel in (False, True):
        requests = [
            cent.PublishRequest(channel=channel, data=1),
            cent.PresenceStatsRequest(channel=channel),
            cent.InfoRequest(),
        ]
        replies = (await api.batch(cent.BatchRequest(requests=requests, parallel=parallel))).replies
        assert [type(each).__name__ for each in replies] == ["PublishResult", "PresenceStatsResult", "InfoResult"]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (cent.PublishRequest(channel="nowhere:a", data=1), 102),
        (cent.PublishRequest(channel="chat:a.*", data=1), 107),
        (cent.PublishRequest(channel="chat:a", data=1, skip_history=True), 108),
        (cent.PublishRequest(channel="chat:a", data=1, tags={f"t{n}": "x" for n in range(40)}), 107),
        (cent.PresenceRequest(channel="stream:a"), 108),
        (cent.HistoryRequest(channel="live:a"), 108),
        (cent.ChannelsRequest(), 108),
        (cent.DisconnectRequest(user=""), 107),
        (cent.DisconnectRequest(user="u", disconnect=cent.Disconnect(code=17, reason="no code")), 107),
        (cent.SubscribeRequest(user="u", channel="chat:a", recover_since=cent.StreamPosition(offset=1)), 108),
    ],
)
async def test_what_cannot_be_done_has_the_protocols_code(
    api: AsyncClient, request_: cent.CentRequest[cent.CentResult], code: int
) -> None:
    assert await code_of(api._send(request_)) == code


async def test_without_its_key_nothing_is_carried_out(suite: Suite) -> None:
    async with AsyncClient(suite.api_url, "another-key") as api:
        with pytest.raises(cent.CentUnauthorizedError):
            await api.info(cent.InfoRequest())
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{suite.api_url}/info", data=b"{}") as answer:
            assert answer.status == 401
        headers = {"Authorization": f"apikey {suite.setting.api_key}"}
        async with http.post(f"{suite.api_url}/info", data=b"{}", headers=headers) as answer:
            assert answer.status == 200


def test_whatever_its_document_allows_is_answered_as_the_document_says(suite: Suite, tmp_path: Path) -> None:
    """Schemathesis makes requests of the OpenAPI document, right ones and wrong ones, and judges the answers."""
    url = suite.api_url.removesuffix("/api")
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{url}/openapi.json", "--header",
        f"X-API-Key: {suite.setting.api_key}", "--max-examples", "15", "--seed", "1", "--workers", "1",
        "--phases", "examples,coverage,fuzzing",
        "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
