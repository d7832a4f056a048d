"""CPU seconds and memory of processes with all that descend from them, read from /proc."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def _stats() -> dict[int, tuple[int, float]]:
    """Of every process: its parent, and the CPU seconds of it and of its children that ended."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / _TICKS)
    return found


def family(pid: int, stats: dict[int, tuple[int, float]] | None = None) -> list[int]:
    """``pid`` and all below it."""
    stats = stats or _stats()
    found, below = [], [pid]
    while below:
        one = below.pop()
        found.append(one)
        below += [child for child, (parent, _) in stats.items() if parent == one]
    return found


def seconds(*pids: int) -> float:
    """CPU seconds so far of the families of ``pids``."""
    stats = _stats()
    return sum(stats[one][1] for pid in pids for one in family(pid, stats) if one in stats)


def forget_peaks(pid: int) -> None:
    """The peak memory of the family of ``pid`` is what it has now."""
    for one in family(pid):
        try:
            Path(f"/proc/{one}/clear_refs").write_text("5")
        except OSError:
            continue


def peak_mb(pid: int) -> float:
    """The largest peak memory in the family of ``pid``."""
    peaks = []
    for one in family(pid):
        try:
            text = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue
        line = next((line for line in text.splitlines() if line.startswith("VmHWM")), None)
        peaks.append(int(line.split()[1]) / 1024 if line else 0.0)
    return max(peaks, default=0.0)
