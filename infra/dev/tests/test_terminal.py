from __future__ import annotations

import io

import pytest

from warren_dev.terminal import Terminal, wants_colour


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_prefixes_line_up() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream, colour=False)
    terminal.expect(["auth", "gateway-1"])
    terminal.line("auth", "one")
    terminal.line("gateway-1", "two")
    assert stream.getvalue() == "auth      | one\ngateway-1 | two\n"


def test_each_program_keeps_a_colour_of_its_own() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream, colour=True)
    for name in ("auth", "history", "auth"):
        terminal.line(name, "text")
    first, second, third = stream.getvalue().splitlines()
    assert first == third
    assert first.split("m", 1)[0] != second.split("m", 1)[0]
    assert first.endswith("\033[0m text")


def test_the_block_names_every_value() -> None:
    stream = io.StringIO()
    Terminal(stream, colour=False).block("Ready", [("Console", "http://localhost:8080"), ("Stop", "Ctrl-C")])
    assert "  Console   http://localhost:8080\n  Stop      Ctrl-C\n" in stream.getvalue()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False)],
)
def test_colour_at_a_terminal(environment: dict[str, str], *, expected: bool) -> None:
    assert wants_colour(FakeTerminal(), environment) is expected


def test_no_colour_in_a_file_unless_forced() -> None:
    assert not wants_colour(io.StringIO(), {})
    assert wants_colour(io.StringIO(), {"FORCE_COLOR": "1"})


def test_a_reader_that_went_away_stops_nothing() -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    Terminal(Closed(), colour=False).say("still here")
