"""``warren-topology``: what is wrong with its settings is told apart from a broker that is away."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import pytest

from warren_shared.runtime.topology_command import main

VARIABLES = ("WARREN_AMQP_URL", "WARREN_PARTITIONS", "WARREN_NAMESPACES_FILE")
URL = "amqp://u:hidden@127.0.0.1:1/warren"


@pytest.fixture(autouse=True)
def _clean_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(logging.root.manager, "disable", 0)  # the command silences libraries for its process


@pytest.mark.parametrize(
    ("variables", "options", "line"),
    [
        ({}, (), "give --amqp-url or set WARREN_AMQP_URL"),
        ({"WARREN_AMQP_URL": "nonsense"}, (), "WARREN_AMQP_URL: is no URL like"),
        ({"WARREN_AMQP_URL": "amqp://u:hid/den@h/v"}, (), "WARREN_AMQP_URL: has no legal port number"),
        ({"WARREN_AMQP_URL": URL}, ("--amqp-url", "http://h/"), "--amqp-url: is no URL like"),
        ({"WARREN_AMQP_URL": URL, "WARREN_PARTITIONS": "abc"}, (), "WARREN_PARTITIONS: must be a number from 1 to 256"),
        ({"WARREN_AMQP_URL": URL}, ("--partitions", "0"), "--partitions: must be a number from 1 to 256"),
        ({"WARREN_AMQP_URL": URL}, ("--namespaces", "/no/such.yml"), "--namespaces: "),
        ({"WARREN_AMQP_URL": URL, "WARREN_NAMESPACES_FILE": "/no/such.yml"}, (), "WARREN_NAMESPACES_FILE: "),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it_and_exit_code_78(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    options: tuple[str, ...],
    line: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert main(list(options)) == 78
    told = capsys.readouterr().err
    assert told.startswith(f"warren-topology: {line}")
    assert told.count("\n") == 1
    assert "hid" not in told


def test_an_invalid_namespace_file_is_told_with_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "namespaces.yml"
    file.write_text("namespaces: [{name: chat, histroy_size: 3}]")

    assert main(["--amqp-url", URL, "--namespaces", str(file)]) == 78
    assert "histroy_size" in capsys.readouterr().err


def test_a_broker_that_is_away_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # an empty variable counts as unset

    assert main(["--amqp-url", f"amqp://u:hidden@127.0.0.1:{port}/warren"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"warren-topology: amqp://127.0.0.1:{port}/warren: ")
    assert told.count("\n") == 1
    assert "hidden" not in told
