from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from warren_dev.errors import SetupError
from warren_dev.ports import LOOPBACK, WantedPort, any_free, check_free, is_free, remembered_ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_a_port_somebody_listens_on_is_not_free(taken: int) -> None:
    assert not is_free(taken)
    assert is_free(any_free())


def test_a_port_taken_on_all_addresses_is_not_free() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_a_taken_port_is_told_with_the_variable_that_moves_it(taken: int) -> None:
    wanted = [WantedPort(any_free(), "console", "CONSOLE_PORT"), WantedPort(taken, "WebSocket of gateway", "PORT")]
    message = rf"^port {taken} \(WebSocket of gateway\) is in use by another program: set PORT to a free port$"
    with pytest.raises(SetupError, match=message):
        check_free(wanted)


def test_all_ports_that_are_taken_are_told_in_one_line(taken: int) -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        wanted = [
            WantedPort(taken, "WebSocket", "PORT"),
            WantedPort(server.getsockname()[1], "console", "CONSOLE_PORT"),
        ]
        with pytest.raises(SetupError, match=r"set PORT to a free port; .* set CONSOLE_PORT to a free port$"):
            check_free(wanted)


def test_a_port_wanted_twice_is_told() -> None:
    port = any_free()
    wanted = [WantedPort(port, "WebSocket", "PORT"), WantedPort(port, "console", "CONSOLE_PORT")]
    with pytest.raises(SetupError, match=rf"^port {port} is wanted for WebSocket and for console: set CONSOLE_PORT"):
        check_free(wanted)


def test_ports_stay_the_same_from_run_to_run(tmp_path: Path) -> None:
    preferred = {"amqp": any_free(), "management": any_free()}
    first = remembered_ports(tmp_path / "ports.json", preferred)
    assert first == preferred
    assert remembered_ports(tmp_path / "ports.json", {"amqp": any_free(), "management": any_free()}) == first


def test_a_remembered_port_that_is_taken_now_is_replaced(tmp_path: Path, taken: int) -> None:
    file = tmp_path / "ports.json"
    file.write_text(json.dumps({"amqp": taken}))
    ports = remembered_ports(file, {"amqp": taken})
    assert is_free(ports["amqp"])
    assert json.loads(file.read_text()) == ports


def test_a_port_that_somebody_else_will_take_is_not_chosen(tmp_path: Path) -> None:
    port = any_free()
    assert remembered_ports(tmp_path / "ports.json", {"auth": port}, {port})["auth"] != port


@pytest.mark.parametrize("text", ["", "[]", '{"amqp": null}'])
def test_a_spoilt_file_of_ports_is_made_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports.json").write_text(text)
    port = any_free()
    if text != '{"amqp": null}':
        assert remembered_ports(tmp_path / "ports.json", {"amqp": port}) == {"amqp": port}
