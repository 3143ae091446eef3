"""The Python example tells a mistake in one line; what it publishes is tested with the suite."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PUBLISH = Path(__file__).parents[2] / "examples" / "python" / "publish.py"
NOBODY = "amqp://me:secret@127.0.0.1:1/"  # port 1 is tcpmux: nothing listens there


@pytest.mark.parametrize(
    ("arguments", "url", "options", "line"),
    [
        ((), NOBODY, (), "usage: AMQP_URL=amqp://... publish.py CHANNEL JSON"),
        (("chat:a", "1"), None, (), "usage: AMQP_URL=amqp://... publish.py CHANNEL JSON"),
        (("chat:a", "{"), NOBODY, (), "not JSON: Expecting"),
        (("chat:a", "1"), NOBODY, (), "not published: AMQPConnectionError"),
        (("chat:a", "1"), NOBODY, ("-I", "-S"), "the AMQP client is missing: pip install pika"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: tuple[str, ...], url: str | None, options: tuple[str, ...], line: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "AMQP_URL"}
    done = subprocess.run(
        [sys.executable, *options, PUBLISH, *arguments],
        env={**environment, **({"AMQP_URL": url} if url else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert said.startswith(line)
    assert "secret" not in said
