"""The classes of the client protocol in Protobuf are those of their source."""

from __future__ import annotations

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_FOLDER = Path("warren_gateway/domain/protobuf")


def test_make_proto_would_change_nothing(tmp_path: Path) -> None:
    subprocess.run([REPOSITORY / "infra/dev/proto.sh", tmp_path], check=True, timeout=50)

    written = sorted(path.name for path in (tmp_path / _FOLDER).iterdir())
    assert written == ["client_pb2.py", "client_pb2.pyi"]
    for name in written:
        committed = REPOSITORY / "services/gateway/src" / _FOLDER / name
        assert (tmp_path / _FOLDER / name).read_bytes() == committed.read_bytes(), f"{name}: run 'make proto'"
