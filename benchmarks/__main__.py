"""``python -m benchmarks [ROW...]``: run the rows and print their table."""

from __future__ import annotations

import asyncio
import os
import platform
import sys

from benchmarks.rows import (
    connections,
    drivers,
    fanout,
    hop,
    latency,
    memory,
    patterns,
    store,
    storm,
    streams,
    throughput,
)
from benchmarks.suite import running_suite
from benchmarks.table import Result, render

ROWS = {
    "hop": hop,
    "memory": memory,
    "fanout": fanout,
    "streams": streams,
    "connections": connections,
    "patterns": patterns,
    "storm": storm,
    "latency": latency,
    "throughput": throughput,
    "drivers": drivers,
    "store": store,
}


async def measure(chosen: list[str]) -> list[Result]:
    """Run each chosen module's rows against a fresh suite, so that none inherits another's load."""
    results: list[Result] = []
    for name in chosen:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        async with running_suite() as suite:
            measured = await ROWS[name].rows(suite)
        for result in measured:
            print(f"  {result.what}: {result.figure} ({result.verdict})", file=sys.stderr, flush=True)
        results += measured
    return results


def main() -> int:
    """Print the table."""
    chosen = sys.argv[1:] or list(ROWS)
    if unknown := set(chosen) - set(ROWS):
        print(f"unknown rows: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    results = asyncio.run(measure(chosen))
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    print(render(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
