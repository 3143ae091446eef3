"""Every service is a distribution of its own: installed with shared alone, it imports."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SERVICES = ("gateway", "api", "auth", "presence", "history", "console")

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
warren = {name.partition(".")[0] for name in sys.modules if name.startswith("warren_")}
assert warren <= {"warren_shared", sys.argv[1]}, warren
places = [module.__file__ for name, module in sys.modules.items() if name.startswith("warren_") and module.__file__]
assert all(place.startswith(sys.prefix) for place in places), places
print(len(places))
"""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of shared and of every service, built without a network."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in (REPOSITORY / "shared", *(REPOSITORY / "services" / name for name in SERVICES)):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=60)
    return folder


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_with_shared_alone(wheels: Path, tmp_path: Path, service: str) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site_packages = environment / "lib" / version / "site-packages"
    for name in ("shared", service):
        (wheel,) = wheels.glob(f"warren_{name}-*.whl")
        unpack = [sys.executable, "-m", "zipfile", "-e", str(wheel), str(site_packages)]
        subprocess.run(unpack, check=True, timeout=30)
    # Of a folder that a .pth file names, Python reads no .pth files: third-party packages are found
    # there, and the editable installations of Warren are not.
    (site_packages / "third_party.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", "utf-8")

    done = subprocess.run(
        [str(python), "-c", IMPORT_EVERYTHING, f"warren_{service}"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
