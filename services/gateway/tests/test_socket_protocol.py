"""The gateway's port on a loopback socket: commands and replies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from warren_gateway.ports import RequestFailedError, ServiceUnavailableError, Subscribed
from warren_shared.contracts.auth import Admitted, Refused
from warren_shared.contracts.codes import Errors, Unsubscribes
from warren_shared.contracts.history import Page
from warren_shared.contracts.publication import Position

from .socket_client import CONNECT, close_code, frame_of, let_in, lines, messages_of, until
from .socket_fakes import EVERYTHING, RunningGateway, running_gateway


@pytest.fixture
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway() as gateway:
        yield gateway


class TestBatches:
    async def test_commands_behind_a_connect_wait_for_it(self, gateway: RunningGateway) -> None:
        async with connect(gateway.url) as socket:
            await socket.send(lines(CONNECT, {"id": 2, "subscribe": {"channel": "chat:a"}}))
            assert (await frame_of(socket))[0]["connect"]["node"] == "test-gateway"
            assert await frame_of(socket) == [
                {"id": 2, "subscribe": {"recoverable": True, "positioned": True, "epoch": "e"}}
            ]

    async def test_replies_to_one_frame_come_in_order(self, gateway: RunningGateway) -> None:
        async with let_in(gateway) as socket:
            await socket.send(
                lines(
                    {"id": 2, "subscribe": {"channel": "live:a"}},
                    {"id": 3, "rpc": {}},
                    {"id": 4, "unsubscribe": {"channel": "live:a"}},
                    {"id": 5, "subscribe": {"channel": "nope:a"}},
                )
            )
            replies = await messages_of(socket, 4)
            assert [reply["id"] for reply in replies] == [2, 3, 4, 5]
            assert [reply.get("error", {}).get("code") for reply in replies] == [None, 108, None, 102]

    async def test_subscribe_reply_comes_before_the_channels_first_push(self, gateway: RunningGateway) -> None:
        more = [{"id": 2, "subscribe": {"channel": "live:a"}}, {"id": 3, "publish": {"channel": "live:a", "data": 1}}]
        async with let_in(gateway, *more) as socket:
            received = await messages_of(socket, 3)
            assert received[0]["id"] == 2
            assert {"push": {"channel": "live:a", "pub": {"data": 1}}} in received

    async def test_commands_after_garbage_are_not_processed(self, gateway: RunningGateway) -> None:
        async with let_in(gateway) as socket:
            publish = json.dumps({"id": 2, "publish": {"channel": "live:a", "data": 1}})
            await socket.send(f"{publish}\ngarbage\n{publish}")
            assert await close_code(socket) == 3501
        assert len(gateway.services.published) == 1

    async def test_commands_behind_a_refused_connect_are_not_processed(self, gateway: RunningGateway) -> None:
        gateway.services.admitted = Refused(code=109, reason="token expired")
        async with connect(gateway.url) as socket:
            await socket.send(lines(CONNECT, {"id": 2, "publish": {"channel": "live:a", "data": 1}}))
            assert (await frame_of(socket))[0]["error"]["code"] == 109
            assert await close_code(socket) == 3501
        assert gateway.services.published == []


class TestBadInput:
    @pytest.mark.parametrize(
        ("messages", "code"),
        [
            (["garbage"], 3501),
            ([""], 3501),
            (["{}"], 3501),
            ([lines({"id": 1, "subscribe": {"channel": "live:a"}})], 3501),
            ([lines(CONNECT), lines(CONNECT)], 3501),
            ([lines(CONNECT, CONNECT)], 3501),
            ([lines(CONNECT), lines({"send": {"data": 1}})], 3508),
            ([b"\xff\xfe"], 3501),
            ([lines(CONNECT), "x" * 65_537], 1009),
        ],
    )
    async def test_closes_with_its_code_and_is_logged_and_counted(
        self, gateway: RunningGateway, messages: list[str | bytes], code: int
    ) -> None:
        with capture_logs() as logs:
            async with let_in(gateway) as other, connect(gateway.url) as socket:
                for message in messages:
                    await socket.send(message)
                assert await close_code(socket) == code
                await other.send(lines({"id": 2, "rpc": {}}))
                assert (await frame_of(other))[0]["error"]["code"] == 108
        assert gateway.counters.disconnects[code] == 1
        assert [log["log_level"] for log in logs if log["event"] == "client_disconnected" and log["code"] == code] == [
            "info"
        ]

    async def test_message_of_exactly_the_limit_passes(self, gateway: RunningGateway) -> None:
        async with let_in(gateway) as socket:
            command = '{"id":2,"rpc":{"data":"%s"}}'
            await socket.send(command % ("x" * (65_536 - len(command) + 2)))
            assert (await frame_of(socket))[0]["error"]["code"] == 108

    async def test_oversize_message_in_fragments(self, gateway: RunningGateway) -> None:
        async with let_in(gateway) as socket:

            async def fragments() -> AsyncIterator[str]:
                for _ in range(3):
                    yield "x" * 30_000

            await socket.send(fragments())
            assert await close_code(socket) == 1009

    @pytest.mark.parametrize("name", ["*", "a:#", "café", "x" * 256])
    async def test_channel_name_is_an_error_reply(self, gateway: RunningGateway, name: str) -> None:
        with capture_logs() as logs:
            async with let_in(gateway) as socket:
                await socket.send(lines({"id": 2, "subscribe": {"channel": name}}))
                assert (await frame_of(socket))[0]["error"]["code"] == 107
        assert gateway.counters.error_replies[107] == 1
        assert [log["code"] for log in logs if log["event"] == "command_refused"] == [107]

    async def test_log_lines_about_clients_are_bounded(self, gateway: RunningGateway) -> None:
        with capture_logs() as logs:
            async with let_in(gateway) as socket:
                await socket.send(lines(*({"id": number, "rpc": {}} for number in range(2, 502))))
                assert len(await messages_of(socket, 500)) == 500
        assert 0 < len([log for log in logs if log["event"] == "command_refused"]) < 200
        assert gateway.counters.error_replies[108] == 500


class TestOtherServices:
    async def test_auth_that_is_down_lets_the_client_try_again(self, gateway: RunningGateway) -> None:
        gateway.services.admitted = ServiceUnavailableError()
        async with connect(gateway.url) as socket:
            await socket.send(lines(CONNECT))
            assert await close_code(socket) == 3004

    async def test_auth_that_is_down_leaves_connected_clients_alone(self, gateway: RunningGateway) -> None:
        async with let_in(gateway) as socket:
            gateway.services.refreshed = ServiceUnavailableError()
            await socket.send(lines({"id": 2, "refresh": {"token": "t"}}))
            assert (await frame_of(socket))[0]["error"] == {
                "code": 100,
                "message": "internal server error",
                "temporary": True,
            }
            await socket.send(lines({"id": 3, "publish": {"channel": "live:a", "data": 1}}))
            assert await frame_of(socket) == [{"id": 3, "publish": {}}]

    async def test_refused_client_is_closed_with_auths_code(self, gateway: RunningGateway) -> None:
        gateway.services.admitted = Refused(code=3500, reason="invalid token", disconnect=True)
        async with connect(gateway.url) as socket:
            await socket.send(lines({"id": 1, "connect": {"token": "bad"}}))
            assert await close_code(socket) == 3500
        assert gateway.services.connects[0].token == "bad"

    @pytest.mark.parametrize(
        ("failure", "code"),
        [
            (ServiceUnavailableError(), 100),
            (RequestFailedError(Errors.NOT_AVAILABLE), 108),
            (RuntimeError("a mistake of ours"), 100),
        ],
    )
    async def test_failure_is_an_error_reply_and_nothing_more(
        self, gateway: RunningGateway, failure: Exception, code: int
    ) -> None:
        gateway.services.failure = failure
        async with let_in(gateway) as socket:
            await socket.send(lines({"id": 2, "presence": {"channel": "chat:a"}}))
            assert (await frame_of(socket))[0]["error"]["code"] == code
            await socket.send(lines({"id": 3, "presence_stats": {"channel": "chat:a"}}))
            assert await frame_of(socket) == [{"id": 3, "presence_stats": {"num_clients": 0, "num_users": 1}}]

    async def test_ended_subscription_is_pushed(self, gateway: RunningGateway) -> None:
        async with let_in(gateway, {"id": 2, "subscribe": {"channel": "live:a"}}) as socket:
            await frame_of(socket)
            (subscriber,) = gateway.channels.subscribers["live:a"].values()
            subscriber.unsubscribed("live:a", Unsubscribes.SERVER)
            assert (await frame_of(socket))[0]["push"]["unsubscribe"]["code"] == 2000

    async def test_server_side_subscription_lost_closes_with_3010(self, gateway: RunningGateway) -> None:
        gateway.services.admitted = Admitted(user="alice", channels=("chat:a",))
        async with let_in(gateway) as socket:
            (subscriber,) = gateway.channels.subscribers["chat:a"].values()
            subscriber.unsubscribed("chat:a", Unsubscribes.INSUFFICIENT_STATE)
            assert await close_code(socket) == 3010


class TestServerSideSubscriptions:
    async def test_client_whose_token_expires_in_ages_is_let_in(self, gateway: RunningGateway) -> None:
        gateway.services.admitted = Admitted(user="alice", grants=EVERYTHING, expire_at=1e19)
        async with connect(gateway.url) as socket:
            await socket.send(lines(CONNECT))
            assert (await frame_of(socket))[0]["connect"]["ttl"] == 2**32 - 1

    async def test_reply_that_cannot_be_written_closes_with_3004_and_is_logged(self, gateway: RunningGateway) -> None:
        gateway.services.page = Page(epoch="e", top=2**64)
        with capture_logs() as logs:
            async with let_in(gateway, {"id": 2, "subscribe": {"channel": "chat:a"}}) as socket:
                await frame_of(socket)
                await socket.send(lines({"id": 3, "history": {"channel": "chat:a"}}))
                assert await close_code(socket) == 3004
                await until(lambda: not gateway.connections)
        assert [line["reason"] for line in logs if line["event"] == "reply_not_encoded"] == [
            "TypeError: Integer exceeds 64-bit range"
        ]
        assert gateway.channels.num_subscribers("chat:a") == 0

    async def test_connect_reply_that_cannot_be_written_closes_with_3004(self, gateway: RunningGateway) -> None:
        gateway.channels.answer = Subscribed(Position("e", 2**64))
        gateway.services.admitted = Admitted(user="alice", grants=EVERYTHING, channels=("chat:a",))
        async with connect(gateway.url) as socket:
            await socket.send(lines(CONNECT))
            assert await close_code(socket) == 3004
        await until(lambda: not gateway.connections)
        assert gateway.channels.num_subscribers("chat:a") == 0

    async def test_nothing_reaches_the_client_before_its_connect_reply(self, gateway: RunningGateway) -> None:
        gateway.services.admitted = Admitted(user="alice", channels=("live:a", "chat:b"), grants=EVERYTHING)
        channels = gateway.channels
        channels.waiting = []
        async with connect(gateway.url) as socket:
            await socket.send(lines(CONNECT))
            await until(lambda: len(channels.waiting or ()) == 2)
            channels.admit()
            channels.publish("live:a", b"1", b"2")
            channels.answer = Subscribed(Position("e", 4))
            channels.admit()
            channels.publish("live:a", b"3")
            (reply,) = await frame_of(socket)
            assert reply["connect"]["subs"] == {
                "live:a": {},
                "chat:b": {"recoverable": True, "positioned": True, "epoch": "e", "offset": 4},
            }
            pushed = [message["push"]["pub"]["data"] for message in await messages_of(socket, 3)]
            assert pushed == [1, 2, 3]

    async def test_subscriptions_end_when_the_client_goes_in_the_midst_of_connecting(
        self, gateway: RunningGateway
    ) -> None:
        gateway.services.admitted = Admitted(user="alice", channels=("live:a",))
        gateway.channels.waiting = []
        async with connect(gateway.url) as socket:
            await socket.send(lines(CONNECT))
            await until(lambda: bool(gateway.channels.waiting))
        await until(lambda: not gateway.channels.waiting)
