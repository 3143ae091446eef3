from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from warren_dev.broker import PLUGINS, PREFERRED_PORTS, prepare_broker, render_config, render_environment, speaks_amqp
from warren_dev.errors import SetupError
from warren_dev.ports import LOOPBACK, any_free
from warren_dev.rabbitmq_package import HOME_VARIABLE, find_scripts

PORTS = {name: 20_000 + index for index, name in enumerate(PREFERRED_PORTS)}


@pytest.fixture(autouse=True)
def no_named_rabbitmq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)


def test_every_listener_is_on_loopback() -> None:
    config = dict(line.split(" = ") for line in render_config(PORTS, "password").splitlines())
    assert config["listeners.tcp.local"] == f"127.0.0.1:{PORTS['amqp']}"
    assert config["management.tcp.ip"] == config["prometheus.tcp.ip"] == LOOPBACK
    environment = render_environment(Path("/run"), PORTS, {})
    assert environment["ERL_EPMD_ADDRESS"] == LOOPBACK
    assert "inet_dist_use_interface {127,0,0,1}" in environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]


def test_nothing_of_a_system_wide_broker_leaks_in() -> None:
    inherited = {
        "PATH": "/bin",
        "RABBITMQ_NODENAME": "rabbit@prod",
        "ERL_LIBS": "/x",
        "HOME": "/home/somebody",
        "ERL_EPMD_PORT": "1",
    }
    environment = render_environment(Path("/run"), PORTS, inherited)
    assert environment["PATH"] == "/bin"
    assert "ERL_LIBS" not in environment
    assert environment["RABBITMQ_NODENAME"] == "warren@localhost"
    files = [
        value for name, value in environment.items() if name.endswith(("_FILE", "_FILES", "_BASE")) or name == "HOME"
    ]
    assert len(files) == 9
    assert all(value.startswith("/run/") for value in files)


def test_files_that_hold_the_password_are_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    broker = prepare_broker(folder, print, ports=PORTS)
    assert folder.stat().st_mode & 0o077 == 0
    assert broker.administrator.port == PORTS["amqp"]
    for file in (folder / "admin-password", folder / "rabbitmq.conf"):
        assert file.stat().st_mode & 0o077 == 0
    assert set(PLUGINS) == set((folder / "enabled_plugins").read_text().strip("[].\n").split(","))


def test_preparing_again_keeps_the_password(tmp_path: Path) -> None:
    first = prepare_broker(tmp_path, print, ports=PORTS)
    assert prepare_broker(tmp_path, print, ports=PORTS).administrator == first.administrator


@pytest.mark.parametrize("place", ["bin", "rabbitmq_server-4.1.0/sbin"])
def test_the_scripts_are_found_where_packages_put_them(tmp_path: Path, place: str) -> None:
    scripts = tmp_path / place
    scripts.mkdir(parents=True)
    places = (str(tmp_path / "bin"), str(tmp_path / "rabbitmq_server-*/sbin"))
    assert find_scripts(places) is None
    (scripts / "rabbitmq-server").touch(mode=0o755)
    assert find_scripts(places) == scripts


def test_the_newest_of_several_versions_is_taken(tmp_path: Path) -> None:
    for version in ("3.13.7", "4.1.0"):
        scripts = tmp_path / f"rabbitmq_server-{version}" / "sbin"
        scripts.mkdir(parents=True)
        (scripts / "rabbitmq-server").touch(mode=0o755)
    found = find_scripts([str(tmp_path / "rabbitmq_server-*/sbin")])
    assert found == tmp_path / "rabbitmq_server-4.1.0" / "sbin"


def test_the_rabbitmq_that_the_environment_names_goes_before_an_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scripts in (tmp_path / "installed", tmp_path / "named" / "sbin"):
        scripts.mkdir(parents=True)
        (scripts / "rabbitmq-server").touch(mode=0o755)
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "named"))
    assert find_scripts([str(tmp_path / "installed")]) == tmp_path / "named" / "sbin"


def test_a_named_folder_without_rabbitmq_is_refused_by_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    with pytest.raises(SetupError, match=HOME_VARIABLE):
        find_scripts()


async def test_a_server_that_greets_as_amqp_speaks_it() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = await reader.readexactly(8)
        writer.write(b"\x01\x00\x00" if header == b"AMQP\x00\x00\x09\x01" else b"?")
        writer.close()

    async with await asyncio.start_server(greet, LOOPBACK, 0) as server:
        assert await speaks_amqp(LOOPBACK, server.sockets[0].getsockname()[1])


async def test_another_server_or_none_does_not_speak_amqp() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, LOOPBACK, 0) as server:
        assert not await speaks_amqp(LOOPBACK, server.sockets[0].getsockname()[1])
    assert not await speaks_amqp(LOOPBACK, any_free())
