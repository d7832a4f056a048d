"""From a survey to an elevation model: checked, solved, validated, written as one GeoTIFF."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.features import geometry_mask
from rasterio.windows import Window

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.errors import SettingsError
from pipeline.findings import Finding
from pipeline.rasters import plain
from pipeline.rasters.georeference import Georeference
from pipeline.terrain import checks, quality
from pipeline.terrain.grid import Grid, tiles
from pipeline.terrain.levels import Solved, solve
from pipeline.terrain.quality import Counts, HoldOut
from pipeline.terrain.survey import Survey
from pipeline.terrain.tasks import ALONE, Spread

_SIDE = 2048
_MOST_CELLS = 40_000_000_000
_TERRACED = 1.3
_SUSPICIOUS = 1.0  # of the interval, for a withheld spot


@dataclass(frozen=True, slots=True)
class Built:
    """A surface that is written to ``path``, and how good it is."""

    path: Path
    grid: Grid
    survey: Survey
    counts: Counts
    hold_out: HoldOut | None
    seams_m: tuple[float, float]
    surveyed: int
    datum: str
    seconds: float
    findings: tuple[Finding, ...]

    def summary(self) -> dict[str, Any]:
        """The report as plain values: metres, degrees, shares."""
        held, counts = self.hold_out, self.counts
        return {
            "file": self.path.name,
            "cell": self.grid.cell,
            "rows": self.grid.rows,
            "columns": self.grid.columns,
            "bounds": self.grid.bounds,
            "heights_above": self.datum,
            "contours": len(self.survey.contours),
            "contour_interval_m": self.survey.interval,
            "spot_heights": len(self.survey.spots),
            "breaklines": len(self.survey.breaklines),
            "lowest_m": round(counts.low, 3),
            "highest_m": round(counts.high, 3),
            "cells_surveyed": self.surveyed,
            "cells_interpolated": max(counts.cells - self.surveyed, 0),
            "cells_without_height": self.grid.rows * self.grid.columns - counts.cells,
            "flat_share": counts.flat_share,
            "terracing": round(counts.terracing, 3),
            "pits": counts.pits,
            "spikes": counts.spikes,
            "tile_seams_rms_m": self.seams_m[0],
            "tile_seams_max_m": self.seams_m[1],
            "hold_out": None
            if held is None
            else {
                "spots": held.count,
                "rmse_m": round(held.rmse_m, 4),
                "mean_m": round(held.mean_m, 4),
                "largest_m": round(held.largest_m, 4),
                "enough": held.count >= 30,
            },
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made: cells of ``cell_m`` metres; ``validate``: first without some spots.
    ``work``: where work files stand (path or address, else beside the target) that all workers of
    ``spread`` see."""

    target: Path
    contract: RasterContract
    city: City
    cell_m: float
    validate: bool = True
    work: str | None = None
    spread: Spread = ALONE


def build(survey: Survey, plan: Plan) -> Built:
    """Makes the surface of ``survey`` and writes it to ``plan.target``.

    Raises SettingsError for a cell that makes no sense.
    """
    began = time.monotonic()
    cell = plan.cell_m / plan.city.metres_per_unit
    grid = Grid.over(survey.bounds, cell)
    if grid.rows * grid.columns > _MOST_CELLS or min(grid.rows, grid.columns) < 4:
        raise SettingsError(
            f"cells of {plan.cell_m:g} m make {grid.rows:,} x {grid.columns:,} of them",
            todo="Give a cell that fits the area, such as --cell 1.",
        )
    findings = list(checks.check(survey, plan.contract.id, cell))
    held = _validate(survey, grid, plan) if plan.validate else None
    solved = solve(survey, grid, plan.target.parent, plan.spread, plan.work)
    counts = _write(survey, solved, plan)
    datum = plan.city.heights.datum
    findings += _judged(survey, counts, held, plan)
    seconds = time.monotonic() - began
    seams = solved.seams_m
    path = plan.target
    return Built(
        path, grid, survey, counts, held, seams, solved.surveyed, datum, seconds, tuple(findings)
    )


def _validate(survey: Survey, grid: Grid, plan: Plan) -> HoldOut | None:
    chosen = quality.withheld(survey.spots)
    if not chosen.any():
        return None
    rest = survey.without_spots(chosen)
    solved = solve(rest, grid, plan.target.parent, plan.spread, plan.work)
    return quality.hold_out(grid, solved.heights, survey.spots[chosen])


def _write(survey: Survey, solved: Solved, plan: Plan) -> Counts:
    """Writes the cells inside the survey's hull, and counts what they are like."""
    grid, contract, city = solved.grid, plan.contract, plan.city
    nodata = -9999.0 if contract.nodata is None else contract.nodata
    counts = Counts(survey.interval, plan.cell_m)
    place = Georeference(grid.transform, city.crs)
    tags = {"AREA_OR_POINT": "Area", "VERTICAL_DATUM": city.heights.datum}
    hull = survey.hull
    with plain.creating(plan.target, contract, (grid.columns, grid.rows), place, tags) as written:
        for tile in tiles(grid, _SIDE, 1):
            z = np.asarray(solved.heights[tile.slices])
            part = grid.part(tile)
            inside = geometry_mask([hull], z.shape, part.transform, all_touched=True, invert=True)
            valid = inside[tile.inner]
            counts.add(z, tile.inner, valid)
            first, end, left, right = tile.core
            window = Window(left, first, right - left, end - first)
            plain.write_window(written, window, z[tile.inner][None], valid, nodata, contract.mask)
    return counts


def _judged(survey: Survey, counts: Counts, held: HoldOut | None, plan: Plan) -> list[Finding]:
    layer, findings = plan.contract.id, []
    if counts.terracing > _TERRACED:
        findings.append(Finding("terrain.terraced", layer, value=f"{counts.terracing:.2f}"))
    if counts.pits or counts.spikes:
        told = f"{counts.pits} and {counts.spikes}"
        findings.append(Finding("terrain.pits", layer, value=told))
    if held is None and plan.validate:
        findings.append(Finding("terrain.not_validated", layer, value=str(len(survey.spots))))
    if held is not None and survey.interval:
        bad = int(np.count_nonzero(np.abs(held.residuals) > _SUSPICIOUS * survey.interval))
        if bad:
            detail = f"{held.largest_m:.2f}"
            findings.append(Finding("terrain.spot_disagrees", layer, value=str(bad), detail=detail))
    return findings
