"""``python -m warren_dev.reference``: writes the generated documentation, or checks it with ``--check``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from warren_dev.reference.documents import DOCUMENTS, outdated, write


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files and return the exit code."""
    parser = argparse.ArgumentParser(prog="warren_dev.reference", description="Generates Warren's reference.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    parser.add_argument("--root", type=Path, default=Path(), help="the repository; default: the current folder")
    options = parser.parse_args(arguments)
    if not (options.root / "docs").is_dir():
        parser.error(f"{options.root.resolve()} is not the root of the repository")
    if options.check:
        return _check(options.root)
    changed = write(options.root)
    sys.stdout.write(f"reference: {len(changed)} of {len(DOCUMENTS)} files written\n")
    return 0


def _check(root: Path) -> int:
    differing = outdated(root)
    for path in differing:
        sys.stderr.write(f"reference: {path} is not what the code says: run `make docs`\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
