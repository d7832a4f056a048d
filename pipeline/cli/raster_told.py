"""What people and programs are told of rasters that were checked or loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pipeline.cli import options
from pipeline.errors import GuardError
from pipeline.findings import Catalog, Finding
from pipeline.rasters.inspect import Inspection, Job
from pipeline.rasters.load import Outcome


def line(outcome: Outcome) -> str:
    """One file in a line."""
    run = f"run {outcome.run}: {outcome.layer} {outcome.status}, {Path(outcome.file).name}"
    if outcome.path is None:
        return run
    how = " in place of an earlier version" if outcome.replaced else ""
    return f"{run} -> {outcome.path}{how}  ({outcome.seconds:.1f} s)"


def tell(head: str, findings: Sequence[Finding], catalog: Catalog) -> None:
    """A head and the findings below it."""
    options.out(head)
    for finding in findings:
        severity = catalog.severity(finding.code)
        options.out(f"  {severity:<7} {finding.code}: {catalog.message(finding)}")


def end(refused: int, all_files: int, what: str) -> None:
    """The exit code: GuardError where all files are refused, 1 where some are."""
    if refused and refused == all_files:
        files = "the file is" if refused == 1 else f"all {refused} files are"
        raise GuardError(f"{files} {what}", todo="The findings above say why.")
    if refused:
        raise click.exceptions.Exit(1)


def _findings(findings: Sequence[Finding], catalog: Catalog) -> list[dict[str, Any]]:
    return [
        {
            "code": finding.code,
            "severity": catalog.severity(finding.code),
            "value": finding.value,
            "detail": finding.detail,
            "message": catalog.message(finding),
            "message_fa": catalog.message(finding, "fa"),
        }
        for finding in findings
    ]


def checked(job: Job, found: Inspection, catalog: Catalog) -> dict[str, Any]:
    """An inspection as JSON."""
    placed = found.placement
    return {
        "file": str(job.path),
        "layer": job.contract.id,
        "sheet": job.subject.sheet,
        "accepted": found.accepted(catalog),
        "pixel_m": placed.pixel_m if placed else None,
        "operation": str(placed.operation) if placed and placed.operation else None,
        "valid_share": found.valid_share,
        "statistics": dict(zip(job.contract.bands, found.statistics, strict=False)),
        "footprint": found.footprint.wkt if found.footprint else None,
        "findings": _findings(found.findings, catalog),
    }


def loaded(outcome: Outcome, catalog: Catalog) -> dict[str, Any]:
    """An outcome as JSON."""
    return {**asdict(outcome), "findings": _findings(outcome.findings, catalog)}
