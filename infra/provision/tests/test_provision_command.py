from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from warren_provision.__main__ import main
from warren_provision.management import Management, ManagementError
from warren_provision.settings import SettingsError, password_variable, read_settings
from warren_shared.topology.access import ACCESS

COMPLETE = {
    "WARREN_PROVISION_AMQP_URL": "amqp://admin:secret@broker/warren",
    "WARREN_PROVISION_MANAGEMENT_URL": "http://broker:15672",
    **{password_variable(access.user): f"password-of-{access.user}" for access in ACCESS},
}


def test_the_settings_come_from_the_environment() -> None:
    settings = read_settings(COMPLETE)
    assert settings.administrator.vhost == "warren"
    assert settings.passwords["warren-gateway"] == "password-of-warren-gateway"
    assert settings.partitions == 4
    assert settings.namespaces is None


@pytest.mark.parametrize("name", COMPLETE)
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} must be set$"):
        read_settings({**COMPLETE, name: ""})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("WARREN_PARTITIONS", "0", "^WARREN_PARTITIONS must be a number from 1 to 256$"),
        ("WARREN_PARTITIONS", "257", "^WARREN_PARTITIONS must be a number from 1 to 256$"),
        ("WARREN_PROVISION_MANAGEMENT_URL", "broker:15672", "^WARREN_PROVISION_MANAGEMENT_URL is no URL like"),
        ("WARREN_PROVISION_MANAGEMENT_URL", "http://broker:x", "^WARREN_PROVISION_MANAGEMENT_URL is no URL like"),
        ("WARREN_PROVISION_MANAGEMENT_URL", "http://a:b@broker", "^WARREN_PROVISION_MANAGEMENT_URL is no URL like"),
        ("WARREN_PROVISION_AMQP_URL", "broker", "^WARREN_PROVISION_AMQP_URL is no URL like"),
        ("WARREN_NAMESPACES_FILE", "/no/such.yml", "^WARREN_NAMESPACES_FILE /no/such.yml: "),
    ],
)
def test_a_mistake_is_one_line_that_names_the_variable(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_settings({**COMPLETE, name: value})


def test_an_invalid_namespace_file_is_told_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "namespaces.yml"
    file.write_text("namespaces: [{name: chat, presence: perhaps}]")
    with pytest.raises(SettingsError, match=r"namespaces\[chat\].presence"):
        read_settings({**COMPLETE, "WARREN_NAMESPACES_FILE": str(file)})


def test_the_command_ends_with_78_for_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WARREN_PROVISION_AMQP_URL", raising=False)
    monkeypatch.setattr(logging.root.manager, "disable", 0)  # the command silences libraries for its process
    assert main() == 78
    assert capsys.readouterr().err == "warren-provision: WARREN_PROVISION_AMQP_URL must be set\n"


class FakeApi:
    """What a management API was asked, and what it answers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.status = 204
        self.text = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append((request.method, request.rel_url.raw_path))
        return web.Response(status=self.status, text=self.text)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def management(api: FakeApi) -> AsyncIterator[Management]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with Management.connect(f"http://127.0.0.1:{runner.addresses[0][1]}/", "admin", "secret") as management:
        yield management
    await runner.cleanup()


async def test_a_virtual_hosts_name_may_hold_anything(api: FakeApi, management: Management) -> None:
    await management.put_vhost("a/b c")
    assert api.calls == [("PUT", "/api/vhosts/a%2Fb%20c"), ("PUT", "/api/permissions/a%2Fb%20c/admin")]


async def test_a_refusal_is_one_line_with_the_brokers_reason(api: FakeApi, management: Management) -> None:
    api.status, api.text = 400, '{"error":"bad_request",\n "reason":"no"}'
    with pytest.raises(ManagementError, match=r'HTTP 400 \{"error":"bad_request", "reason":"no"\}$'):
        await management.import_definitions({})


async def test_deleting_what_is_not_there_is_no_error(api: FakeApi, management: Management) -> None:
    api.status = 404
    await management.delete_vhost("gone")
    assert api.calls == [("DELETE", "/api/vhosts/gone")]


async def test_a_broker_out_of_reach_is_not_up() -> None:
    async with Management.connect("http://127.0.0.1:1", "admin", "secret") as management:
        assert not await management.is_up()
        with pytest.raises(ManagementError, match=r"^PUT http://127.0.0.1:1/api/vhosts/x: "):
            await management.put_vhost("x")
