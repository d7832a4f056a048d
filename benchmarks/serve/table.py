"""Rows of results: rates, CPU and ratios against the goals, as a table for the docs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.serve.works import OURS, Work

BEGIN, END = "<!-- benchmarks.serve -->\n", "<!-- /benchmarks.serve -->\n"


@dataclass(frozen=True)
class Measure:
    """One run of one work by one side: answers a second, CPU ms of an answer (server and database),
    bytes of an answer."""

    rate: float
    cpu_ms: float
    size: float


@dataclass(frozen=True)
class Limit:
    """A goal that is no ratio of rates: what is measured, how it is told, and whether it is met."""

    title: str
    told: str
    goal: str
    met: bool


@dataclass
class Results:
    """Everything that was measured."""

    runs: dict[tuple[str, str], list[Measure]] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, work: str, side: str, found: Measure) -> None:
        """One more run."""
        self.runs.setdefault((work, side), []).append(found)

    def middle(self, work: str, side: str) -> Measure | None:
        """The medians of its runs."""
        runs = self.runs.get((work, side))
        if not runs:
            return None
        return Measure(*(statistics.median(getattr(one, name) for one in runs) for name in
                         ("rate", "cpu_ms", "size")))  # fmt: skip

    def other(self, work: Work, side: str) -> Measure | None:
        """What ``side`` of a goal stands for: a peer at this work, or one at another."""
        name, _, elsewhere = side.partition(":")
        return self.middle(elsewhere or work.id, name)


HEAD = ("work", "Makan", "beside", "rate", "CPU ms", "kB", "ratio", "by CPU", "goal", "")


def rows(results: Results, works: Iterable[Work]) -> Iterable[tuple[str, ...]]:
    """A row for each comparison."""
    for work in works:
        ours = results.middle(work.id, OURS)
        if ours is None:
            continue
        said = f"{ours.rate:,.0f}/s, {ours.cpu_ms:.2f} ms, {ours.size / 1000:.1f} kB"
        for side, goal in work.goals.items():
            other = results.other(work, side)
            wanted = "" if goal is None else f">= {goal:.2f}".rstrip("0").rstrip(".")
            if other is None:
                yield work.title, said, side, "-", "-", "-", "-", "-", wanted, "none"
                continue
            ratio = ours.rate / other.rate if other.rate else 0.0
            by_cpu = other.cpu_ms / ours.cpu_ms if ours.cpu_ms else 0.0
            met = "" if goal is None else "met" if ratio >= goal else "**missed**"
            rate = f"{other.rate:,.0f}/s" if other.rate >= 10 else f"{other.rate:.2f}/s"
            cost = (f"{other.cpu_ms:.2f}", f"{other.size / 1000:.1f}")
            yield work.title, said, side, rate, *cost, f"{ratio:.2f}", f"{by_cpu:.2f}", wanted, met
    for limit in results.limits:
        met = "met" if limit.met else "**missed**"
        yield limit.title, limit.told, "", "", "", "", "", "", limit.goal, met


def markdown(results: Results, works: Iterable[Work], about: list[str]) -> str:
    """The section of the docs."""
    lines = [*about, "", f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    last = ""
    for first, ours, *rest in rows(results, works):
        again = first == last
        lines.append(f"| {' | '.join(['' if again else first, '' if again else ours, *rest])} |")
        last = first
    lines += ["", *(f"- {name}: not there: {why}" for name, why in results.missing.items())]
    lines += [f"- fault: {fault}" for fault in results.faults]
    return "\n".join(lines).rstrip() + "\n"


def write(path: Path, text: str) -> None:
    """Puts the section into the file between its marks, or at its end."""
    there = path.read_text(encoding="utf-8") if path.exists() else "# Performance\n"
    if BEGIN in there and END in there:
        before, _, rest = there.partition(BEGIN)
        after = rest.partition(END)[2]
    else:
        before, after = there.rstrip() + "\n\n", ""
    path.write_text(before + BEGIN + text + END + after, encoding="utf-8")
