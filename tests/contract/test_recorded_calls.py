"""Backends that were written for any released version are called, and understood, as they were.

A line of recorded/<version>/calls.jsonl is a call as gateways put it, or an answer, and what it says
(``means``). Never change a line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from warren_gateway.adapters.backends import headers_of, result_of
from warren_gateway.ports import Call, RequestFailedError
from warren_shared.messaging.port import Delivery
from warren_shared.topology.catalogue import backend_rpc_key

FILES = sorted((Path(__file__).parent / "recorded").glob("*/calls.jsonl"))
LINES = [orjson.loads(line) for file in FILES for line in file.read_bytes().splitlines()]
CALLS = [line for line in LINES if "call" in line]
ANSWERS = [line for line in LINES if "answer" in line]


def test_calls_and_answers_are_recorded() -> None:
    assert CALLS
    assert ANSWERS


@pytest.mark.parametrize("line", CALLS)
def test_a_backend_finds_what_it_always_found(line: dict[str, Any]) -> None:
    means, method = line["means"], line["call"]["key"].removeprefix("app.")
    info = None if means["info"] is None else orjson.dumps(means["info"]).decode()
    call = Call(method, b"", means["user"], means["client"], info)

    assert backend_rpc_key(method) == line["call"]["key"]
    assert headers_of(call, {}).items() >= line["call"]["headers"].items()


@pytest.mark.parametrize("line", ANSWERS)
def test_an_answer_means_what_it_meant(line: dict[str, Any]) -> None:
    reply = Delivery("warren.replies", "q", line["answer"]["body"].encode(), line["answer"]["headers"])
    if "data" in line["means"]:
        assert orjson.loads(result_of(reply).data) == line["means"]["data"]
        return
    with pytest.raises(RequestFailedError) as failed:
        result_of(reply)
    error = failed.value.error
    assert {"code": error.code, "message": error.message, "temporary": error.temporary} == line["means"]["error"]
