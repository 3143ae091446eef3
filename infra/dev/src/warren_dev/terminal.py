"""What the person at the terminal sees: every program's lines under its name, in its colour."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Final, TextIO

_COLOURS: Final = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
_RESET: Final = "\033[0m"


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether to colour: at a terminal, unless ``NO_COLOR`` is set; anywhere with ``FORCE_COLOR``."""
    if environment.get("NO_COLOR"):
        return False
    return bool(environment.get("FORCE_COLOR")) or (stream.isatty() and environment.get("TERM") != "dumb")


class Terminal:
    """Writes whole lines, so that lines of several programs never mix."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self._stream, self._colour = stream, colour
        self._width = len("warren")
        self._colour_of: dict[str, str] = {}

    @classmethod
    def standard(cls) -> Terminal:
        """Return one on standard output."""
        return cls(sys.stdout, colour=wants_colour(sys.stdout, os.environ))

    def expect(self, names: Iterable[str]) -> None:
        """Make the prefixes as wide as the longest of these names."""
        self._width = max([self._width, *map(len, names)])

    def line(self, program: str, text: str) -> None:
        """Write one line of a program."""
        prefix = f"{program:<{self._width}} |"
        if self._colour:
            colour = self._colour_of.setdefault(program, _COLOURS[len(self._colour_of) % len(_COLOURS)])
            prefix = f"\033[{colour}m{prefix}{_RESET}"
        self._write(f"{prefix} {text}\n")

    def say(self, text: str) -> None:
        """Write a line of our own."""
        self.line("warren", text)

    def block(self, title: str, rows: Iterable[tuple[str, str]]) -> None:
        """Write a framed block of named values."""
        rows = list(rows)
        width = max(len(name) for name, _ in rows)
        lines = [f"  {name:<{width}}   {value}".rstrip() for name, value in rows]
        rule = "-" * min(100, max(map(len, [title, *lines])) + 2)
        bold, reset = ("\033[1m", _RESET) if self._colour else ("", "")
        self._write("\n".join(["", rule, f"  {bold}{title}{reset}", "", *lines, rule, "", ""]))

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            pass  # nobody reads any more; Warren runs on
