from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from warren_dev.ledger import Ledger
from warren_dev.program import Program, SupervisorError, Timing
from warren_dev.supervisor import Supervisor

DEADLINE = 20.0
RUN_FOR_EVER = "import signal; print('up'); signal.pause()"
IGNORE_TERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up')\nwhile True: signal.pause()"
MISS_FIRST_TERM = """
import signal, sys
def miss(*_): signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.signal(signal.SIGTERM, miss)
print('up')
while True: signal.pause()
"""
WITH_CHILD = """
import subprocess, sys, signal
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(f"child {child.pid}")
signal.pause()
"""


class Lines:
    """A line sink one can wait on."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []
        self._new = asyncio.Event()

    def __call__(self, program: str, line: str) -> None:
        self.all.append((program, line))
        self._new.set()

    def of(self, program: str) -> list[str]:
        return [line for name, line in self.all if name == program]

    async def wait_for(self, matches: Callable[[list[tuple[str, str]]], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not matches(self.all):
                self._new.clear()
                await self._new.wait()

    async def wait_for_line(self, program: str, text: str, times: int = 1) -> None:
        await self.wait_for(lambda lines: sum(name == program and text in line for name, line in lines) >= times)


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "processes.json")


@pytest.fixture
async def supervisor(lines: Lines, ledger: Ledger) -> AsyncIterator[Supervisor]:
    async with Supervisor(lines, ledger, Timing(first_backoff=0.01, longest_backoff=0.04, poll=0.01)) as supervisor:
        yield supervisor


def python_program(name: str, code: str, **fields: object) -> Program:
    """Return a program that runs Python code."""
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    defaults: dict[str, object] = {"command": (sys.executable, "-c", code), "environment": environment}
    return Program(name=name, **{**defaults, **fields})  # type: ignore[arg-type]  # the fields are the caller's


async def never() -> bool:
    return False


def write_name_at_term(name: str, file: Path) -> str:
    return f"""
import signal, sys
def end(*_):
    with open({str(file)!r}, "a") as out: out.write({name!r} + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up")
signal.pause()
"""


async def started(supervisor: Supervisor, lines: Lines, *programs: Program) -> None:
    supervisor.add(*programs)
    for program in programs:
        await supervisor.start(program.name)
        await lines.wait_for_line(program.name, "up")


async def test_output_arrives_line_by_line_under_the_programs_name(supervisor: Supervisor, lines: Lines) -> None:
    code = "import sys; sys.stdout.write('one\\n\\ntwo\\n'); sys.stderr.write('three')"
    supervisor.add(python_program("speaker", code))
    await supervisor.start("speaker")
    await lines.wait_for_line("speaker", "three")
    assert lines.of("speaker")[:4] == ["one", "", "two", "three"]


async def test_output_without_line_ends_or_of_broken_text_does_no_harm(supervisor: Supervisor, lines: Lines) -> None:
    code = "import sys; sys.stdout.buffer.write(b'x' * 300_000 + b'\\xff\\n' + b'after\\n')"
    supervisor.add(python_program("speaker", code))
    await supervisor.start("speaker")
    await lines.wait_for_line("speaker", "after")
    text = "".join(lines.of("speaker"))
    assert text.startswith("x" * 300_000 + "\N{REPLACEMENT CHARACTER}")


async def test_a_quiet_programs_output_is_kept_back(supervisor: Supervisor, lines: Lines) -> None:
    supervisor.add(python_program("quiet", "print('a secret'); raise SystemExit(78)", quiet=True))
    await supervisor.start("quiet")
    assert (await supervisor.wait_mistake()).line == "a secret"
    assert lines.all == []


async def test_a_crashed_program_is_started_again_after_a_growing_pause(supervisor: Supervisor, lines: Lines) -> None:
    supervisor.add(python_program("crasher", "raise SystemExit(3)"))
    await supervisor.start("crasher")
    await lines.wait_for_line("crasher", "starting again", times=4)
    said = [line for line in lines.of("crasher") if "starting again" in line]
    assert said[:4] == [
        f"ended with exit code 3: starting again in {pause} s" for pause in ("0.01", "0.02", "0.04", "0.04")
    ]


async def test_a_program_killed_from_outside_is_started_again(supervisor: Supervisor, lines: Lines) -> None:
    await started(supervisor, lines, python_program("server", RUN_FOR_EVER))
    before = supervisor.pid("server")
    os.kill(before, signal.SIGKILL)
    await lines.wait_for_line("server", "up", times=2)
    assert supervisor.pid("server") != before
    assert "ended with signal 9: starting again in 0.01 s" in lines.of("server")


async def test_a_program_that_ran_steadily_is_forgiven_its_crashes(lines: Lines, ledger: Ledger) -> None:
    timing = Timing(first_backoff=0.01, longest_backoff=5.0, steady=0.0)
    async with Supervisor(lines, ledger, timing) as supervisor:
        supervisor.add(python_program("crasher", "raise SystemExit(1)"))
        await supervisor.start("crasher")
        await lines.wait_for_line("crasher", "starting again in 0.01 s", times=3)


async def test_a_configuration_mistake_is_told_once_and_not_tried_again(supervisor: Supervisor, lines: Lines) -> None:
    supervisor.add(python_program("wrong", "print('WARREN_X: is wrong'); raise SystemExit(78)"))
    await supervisor.start("wrong")
    async with asyncio.timeout(DEADLINE):
        mistake = await supervisor.wait_mistake()
    assert (mistake.program, mistake.line) == ("wrong", "WARREN_X: is wrong")
    with pytest.raises(SupervisorError, match="wrong does not run"):
        supervisor.pid("wrong")
    assert lines.of("wrong") == ["WARREN_X: is wrong"]


async def test_a_killed_program_stays_down_until_it_is_started(supervisor: Supervisor, lines: Lines) -> None:
    await started(supervisor, lines, python_program("server", IGNORE_TERM, stop_seconds=0.1))
    process = psutil.Process(supervisor.pid("server"))
    await supervisor.kill9("server")
    assert not process.is_running()
    with pytest.raises(SupervisorError):
        supervisor.pid("server")
    await supervisor.start("server")
    await lines.wait_for_line("server", "up", times=2)
    assert supervisor.pid("server") != process.pid


async def test_killing_takes_what_the_program_started_along(supervisor: Supervisor, lines: Lines) -> None:
    supervisor.add(python_program("parent", WITH_CHILD))
    await supervisor.start("parent")
    await lines.wait_for_line("parent", "child ")
    child = psutil.Process(int(lines.of("parent")[0].split()[1]))
    await supervisor.kill9("parent")
    _, alive = await asyncio.to_thread(psutil.wait_procs, [child], timeout=DEADLINE)
    assert alive == []


async def test_restarting_ends_a_program_in_good_order(supervisor: Supervisor, lines: Lines, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    await started(supervisor, lines, python_program("server", write_name_at_term("server", ended)))
    before = supervisor.pid("server")
    await supervisor.restart("server")
    assert ended.read_text() == "server\n"
    assert supervisor.pid("server") != before


async def test_what_outlives_a_program_is_swept_up_before_it_counts_as_ended(
    supervisor: Supervisor, lines: Lines, tmp_path: Path
) -> None:
    remains = tmp_path / "remains"
    code = f"open({str(remains)!r}, 'w').close()\n{RUN_FOR_EVER}"
    await started(supervisor, lines, python_program("server", code, sweep=("rm", str(remains))))
    assert remains.exists()
    await supervisor.kill9("server")
    assert not remains.exists()


async def test_a_program_that_ignores_sigterm_is_killed_at_its_deadline(supervisor: Supervisor, lines: Lines) -> None:
    await started(supervisor, lines, python_program("stubborn", IGNORE_TERM, stop_seconds=0.1))
    await supervisor.stop("stubborn")
    assert lines.of("stubborn") == ["up", "did not end within 0.1 s: killed"]
    with pytest.raises(SupervisorError):
        supervisor.pid("stubborn")


async def test_a_program_that_may_miss_sigterm_is_sent_it_again(supervisor: Supervisor, lines: Lines) -> None:
    deaf = python_program("deaf", MISS_FIRST_TERM, stop_seconds=5.0, term_again=0.05)
    await started(supervisor, lines, deaf)
    await supervisor.stop("deaf")
    assert lines.of("deaf") == ["up"]


async def test_programs_stop_in_the_order_of_their_ranks(lines: Lines, ledger: Ledger, tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    programs = [
        python_program(name, write_name_at_term(name, ended), stop_rank=rank)
        for name, rank in (("broker", 9), ("gateway", 0), ("history", 1))
    ]
    async with Supervisor(lines, ledger) as supervisor:
        await started(supervisor, lines, *programs)
    assert ended.read_text().split() == ["gateway", "history", "broker"]


async def test_an_error_inside_the_block_ends_every_program(lines: Lines, ledger: Ledger) -> None:
    processes: list[psutil.Process] = []

    async def fail_inside() -> None:
        async with Supervisor(lines, ledger) as supervisor:
            await started(supervisor, lines, python_program("server", RUN_FOR_EVER))
            processes.append(psutil.Process(supervisor.pid("server")))
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        await fail_inside()
    assert [process.is_running() for process in processes] == [False]


async def test_a_program_has_a_process_group_of_its_own(supervisor: Supervisor, lines: Lines) -> None:
    """Else a Ctrl-C at the terminal would end all at once, the broker before those that use it."""
    await started(supervisor, lines, python_program("server", RUN_FOR_EVER))
    assert os.getpgid(supervisor.pid("server")) == supervisor.pid("server") != os.getpgid(0)


async def test_waiting_for_readiness_asks_the_probe(supervisor: Supervisor, lines: Lines) -> None:
    asked = 0

    async def third_time() -> bool:
        nonlocal asked
        asked += 1
        return asked >= 3

    await started(supervisor, lines, python_program("server", RUN_FOR_EVER, ready=third_time))
    await supervisor.wait_ready(deadline=DEADLINE)
    assert asked == 3


async def test_waiting_names_who_is_late_at_the_deadline(supervisor: Supervisor, lines: Lines) -> None:
    late = python_program("late", RUN_FOR_EVER, ready=never)
    await started(supervisor, lines, python_program("quick", RUN_FOR_EVER), late)
    with pytest.raises(SupervisorError, match=r"^not ready within 0\.1 s: late$"):
        await supervisor.wait_ready(deadline=0.1)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('X: is wrong'); raise SystemExit(78)", "^server does not start: X: is wrong$"),
        ("print('no luck'); raise SystemExit(1)", "^server keeps ending; its last line: no luck$"),
    ],
)
async def test_waiting_ends_early_where_there_is_no_hope(supervisor: Supervisor, code: str, message: str) -> None:
    supervisor.add(python_program("server", code, ready=never))
    await supervisor.start("server")
    with pytest.raises(SupervisorError, match=message):
        await supervisor.wait_ready(deadline=DEADLINE)


async def test_a_command_that_cannot_be_executed_is_one_clear_line(supervisor: Supervisor) -> None:
    supervisor.add(Program(name="ghost", command=("/no/such/program",), environment={}))
    with pytest.raises(SupervisorError, match=r"^ghost: /no/such/program: No such file or directory$"):
        await supervisor.start("ghost")


async def test_a_programs_secrets_are_not_in_its_description() -> None:
    assert "hidden" not in repr(Program(name="x", command=("x",), environment={"PASSWORD": "hidden"}))


async def test_output_is_added_to_the_programs_log_file_too(
    supervisor: Supervisor, lines: Lines, tmp_path: Path
) -> None:
    log = tmp_path / "log" / "server.log"
    await started(supervisor, lines, python_program("server", RUN_FOR_EVER, log_file=log))
    await supervisor.kill9("server")
    await supervisor.start("server")
    await lines.wait_for_line("server", "up", times=2)
    assert log.read_text() == "up\nup\n"
