"""``make chaos``: run seeds one after the other, a line for each, and say what went wrong."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Final

from chaos.evidence import Diary, Finding
from chaos.layout import Layout, StoreKind
from chaos.run import Outcome, run
from warren_dev.open_files import raise_limit

_REPOSITORY: Final = Path(__file__).parents[2]
_FINDINGS: Final = 12
_STOPPED: Final = 130
_AROUND: Final = 8
"""Entries of a diary that are shown before and after a finding."""
_ASIDE_SECONDS: Final = 400.0
"""A run may take besides the time in which it breaks things: to start, to become quiet, to stop."""


def main() -> int:
    """Return 0 if every seed kept the promise, 1 if not, 2 if a run came to no judgement."""
    options = _options()
    logging.disable(logging.ERROR)  # that connections break is no news here
    if warning := raise_limit():
        print(warning)
    worst = 0
    for seed in options.seed or [secrets.randbelow(1_000_000)]:
        folder = Path(tempfile.mkdtemp(prefix=f"warren-chaos-{seed}-"))
        worst = max(worst, _run(seed, options, folder))
    return worst


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="*", help="what to draw the faults from; a new one by default")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long to break things (default: 3)")
    parser.add_argument("--storm", type=int, default=2_000, help="clients in a storm of reconnects (default: 2000)")
    parser.add_argument("--cluster", action="store_true", help="a broker of three nodes, of which one dies at a time")
    stores = "what history keeps its store in (default: sqlite); on postgres there are two history processes"
    parser.add_argument("--store", type=StoreKind, choices=list(StoreKind), default=StoreKind.SQLITE, help=stores)
    return parser.parse_args()


def _run(seed: int, options: argparse.Namespace, folder: Path) -> int:
    began, seconds, node_modules = time.monotonic(), options.minutes * 60, _REPOSITORY / "node_modules"
    layout = Layout(cluster=options.cluster, store=options.store)

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {line}", flush=True)

    async def bounded() -> Outcome:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has it ignore one
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        async with asyncio.timeout(seconds + _ASIDE_SECONDS):
            return await run(seed, seconds, options.storm, folder, node_modules, say, layout)

    try:
        outcome = asyncio.run(bounded())
    except asyncio.CancelledError:
        raise SystemExit(_STOPPED) from None
    except (AssertionError, TimeoutError, ExceptionGroup) as error:
        traceback.print_exception(error)
        print(f"seed {seed}: no judgement: {error!r}; logs of all processes: {folder}", flush=True)
        return 2
    _explain(outcome, folder)
    print(outcome, flush=True)
    if outcome.findings:
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _explain(outcome: Outcome, folder: Path) -> None:
    """Print the first findings, what was seen around them, and what was broken then."""
    for what in outcome.left_out:
        print(f"left out: {what}")
    for finding in outcome.findings[:_FINDINGS]:
        print(f"\n{finding} (at {finding.at:.1f})")
        for done in outcome.done:
            if done.began - 5 <= finding.at <= done.mended + 30:
                print(f"    broken {done.began:.1f} to {done.mended:.1f}: {done.fault.kind}, {done.fault.target}")
        for diary in outcome.evidence.diaries:
            if (diary.follower, diary.channel) == (finding.follower, finding.channel):
                _show(diary, finding)
    if outcome.findings:
        print(f"\n{len(outcome.findings)} findings; logs of all processes: {folder}")
        print(f"again: make chaos SEED={outcome.seed} MINUTES={outcome.seconds / 60:.3g}{outcome.layout.options}")


def _show(diary: Diary, finding: Finding) -> None:
    place = next((index for index, each in enumerate(diary.entries) if each.at >= finding.at), len(diary.entries))
    for entry in diary.entries[max(0, place - _AROUND) : place + _AROUND]:
        print(f"    {entry}"[:200])


if __name__ == "__main__":
    sys.exit(main())
