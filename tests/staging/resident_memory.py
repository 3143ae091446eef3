"""How much memory a process of the suite has and had, as the kernel counts it (proc_pid_status(5))."""

from __future__ import annotations

from pathlib import Path

_RESET_PEAK = "5"  # proc_pid_clear_refs(5)


def resident(pid: int) -> int:
    """Return the bytes that are resident now."""
    return _field(pid, "VmRSS")


def peak(pid: int) -> int:
    """Return the most bytes that were resident since ``forget_peak``, or since it began."""
    return _field(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Count the peak from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK, "ascii")


def _field(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kilobytes) * 1024
