from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from warren_dev.haproxy import find_haproxy
from warren_dev.ports import LOOPBACK, any_free
from warren_dev.program import Program
from warren_dev.services import RunPlan, choose_ops_ports, gateway_urls, service_programs, wanted_ports
from warren_dev.settings import read_settings
from warren_provision.broker_url import BrokerUrl

ROOT = Path(__file__).parents[3]
SECRET = "a-secret-that-signs-every-token-of-the-run"
BROKER = BrokerUrl("amqp", "nobody", "", "127.0.0.1", 5682, "warren")
LOGINS = {
    name: BROKER.login(f"warren-{name}", f"password-of-{name}")
    for name in ("api", "auth", "presence", "history", "gateway")
}
API_KEY = "the-key-of-the-http-api"


def programs(tmp_path: Path, **environment: str) -> dict[str, Program]:
    secret_file = tmp_path / "token-secret"
    secret_file.write_text(SECRET + "\n")
    settings = read_settings(environment, ROOT)
    ops_ports = choose_ops_ports(settings, tmp_path / "ops-ports.json")
    plan = RunPlan(settings, tmp_path, secret_file, API_KEY, LOGINS, ops_ports, environment)
    return {program.name: program for program in service_programs(plan)}


def test_every_service_runs_as_its_own_module(tmp_path: Path) -> None:
    modules = {name: program.command[-1] for name, program in programs(tmp_path).items()}
    assert modules == {name: f"warren_{name}" for name in ("console", "api", "auth", "presence", "history", "gateway")}


def test_each_service_has_its_own_broker_login_and_no_other(tmp_path: Path) -> None:
    for name, program in programs(tmp_path).items():
        everything = " ".join(program.environment.values())
        found = {other for other in LOGINS if f"password-of-{other}" in everything}
        assert found == {name} & LOGINS.keys()


def test_only_auth_is_told_the_token_secret(tmp_path: Path) -> None:
    told = [
        name
        for name, program in programs(tmp_path, WARREN_AUTH_TOKEN_HMAC_SECRET=SECRET).items()
        if SECRET in program.environment.values()
    ]
    assert told == ["auth"]


def test_only_the_api_is_told_its_keys(tmp_path: Path) -> None:
    found = programs(tmp_path, WARREN_API_KEYS=API_KEY)
    assert [name for name, program in found.items() if API_KEY in program.environment.values()] == ["api"]
    assert found["api"].environment["WARREN_API_PORT"] == "8070"


def test_gateways_get_ports_and_names_in_a_row(tmp_path: Path) -> None:
    found = programs(tmp_path, GATEWAYS="3", PORT="9000", WARREN_GATEWAY_OPS_PORT="9201")
    gateways = [found[f"gateway-{number}"].environment for number in (1, 2, 3)]
    assert [each["WARREN_GATEWAY_PORT"] for each in gateways] == ["9000", "9001", "9002"]
    assert [each["WARREN_GATEWAY_OPS_PORT"] for each in gateways] == ["9201", "9202", "9203"]
    assert len({each["WARREN_GATEWAY_ID"] for each in gateways}) == 3
    assert found["console"].environment["WARREN_CONSOLE_GATEWAY_URLS"] == ",".join(
        f"ws://{{host}}:{port}/connection/websocket" for port in (9000, 9001, 9002)
    )


def test_gateways_stop_first_and_the_console_last(tmp_path: Path) -> None:
    ranks = {name: program.stop_rank for name, program in programs(tmp_path, GATEWAYS="2").items()}
    assert ranks["gateway-1"] == ranks["gateway-2"] < ranks["history"] == ranks["auth"] == ranks["presence"]
    assert ranks["console"] == max(ranks.values())


def test_what_the_environment_says_of_a_service_holds(tmp_path: Path) -> None:
    environment = programs(tmp_path, WARREN_GATEWAY_HOST="0.0.0.0", WARREN_LOG_FORMAT="json")["gateway"].environment
    assert environment["WARREN_GATEWAY_HOST"] == "0.0.0.0"
    assert environment["WARREN_LOG_FORMAT"] == "json"


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [
        ("history", "WARREN_HISTORY_STORE_PATH", "/elsewhere/history.sqlite3"),
        ("console", "WARREN_CONSOLE_GATEWAY_URLS", "wss://proxy/connection/websocket"),
    ],
)
def test_where_history_and_the_console_look_may_be_said(tmp_path: Path, service: str, name: str, value: str) -> None:
    assert programs(tmp_path, **{name: value})[service].environment[name] == value
    assert programs(tmp_path, **{name: ""})[service].environment[name] == programs(tmp_path)[service].environment[name]


@pytest.mark.parametrize("given", [None, "http://collector:4318"])
def test_traces_go_to_the_console_unless_the_environment_says_otherwise(tmp_path: Path, given: str | None) -> None:
    own = {"OTEL_EXPORTER_OTLP_ENDPOINT": given} if given else {}
    for program in programs(tmp_path, CONSOLE_PORT="8085", **own).values():
        assert program.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == (given or "http://127.0.0.1:8085")


def test_the_consoles_page_may_connect_to_the_gateways(tmp_path: Path) -> None:
    environment = programs(tmp_path, CONSOLE_PORT="8085")["gateway"].environment
    assert environment["WARREN_GATEWAY_ALLOWED_ORIGINS"] == "http://localhost:8085,http://127.0.0.1:8085"


def test_every_port_that_will_be_listened_on_is_another_one(tmp_path: Path) -> None:
    # The defaults of the gateways' ops ports would run into the clients' ports, and into auth's.
    settings = read_settings({"GATEWAYS": "10", "PORT": "9105", "CONSOLE_PORT": "9131"}, ROOT)
    ports = [wanted.port for wanted in wanted_ports(settings)]
    ports += choose_ops_ports(settings, tmp_path / "ops-ports.json").values()
    assert len(ports) == len(set(ports)) == 10 + 2 + bool(find_haproxy()) + 10 + 5


def test_ops_ports_nobody_asked_for_make_way_for_another_run(tmp_path: Path) -> None:
    settings = read_settings({}, ROOT)
    file = tmp_path / "ops-ports.json"
    first = choose_ops_ports(settings, file)
    assert choose_ops_ports(settings, file) == first
    with ExitStack() as another_run:
        for port in first.values():
            another_run.enter_context(socket.create_server((LOOPBACK, port)))
        second = choose_ops_ports(settings, file)
    assert second.keys() == first.keys() == {"gateway", "api", "auth", "presence", "history", "console"}
    assert not set(second.values()) & set(first.values())


def test_an_ops_port_that_was_asked_for_must_be_free(tmp_path: Path) -> None:
    port = any_free()
    settings = read_settings({"WARREN_HISTORY_OPS_PORT": str(port)}, ROOT)
    wanted = [each for each in wanted_ports(settings) if each.variable == "WARREN_HISTORY_OPS_PORT"]
    assert [(each.port, each.purpose) for each in wanted] == [(port, "health and metrics of history")]
    assert choose_ops_ports(settings, tmp_path / "ops-ports.json")["history"] == port


def test_the_urls_shown_are_those_of_the_gateways() -> None:
    urls = gateway_urls(read_settings({"GATEWAYS": "2", "PORT": "8000"}, ROOT))
    assert urls == ("ws://localhost:8000/connection/websocket", "ws://localhost:8001/connection/websocket")
