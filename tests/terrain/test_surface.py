"""The surface against grounds that are known everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from rasterio.features import geometry_mask

from benchmarks.imagery.grounds import EAST, NO_LINES, NORTH, hills, plane, surveyed
from pipeline.terrain import levels, quality
from pipeline.terrain.grid import Grid, tiles
from pipeline.terrain.levels import solve
from pipeline.terrain.survey import Survey


def _truth(grid: Grid, ground: object) -> np.ndarray:
    east = grid.west + (np.arange(grid.columns) + 0.5) * grid.cell
    north = grid.north - (np.arange(grid.rows) + 0.5) * grid.cell
    return ground(*np.meshgrid(east, north))  # type: ignore[operator]


@pytest.mark.parametrize("spots", [0, 60])
def test_the_planted_plane_comes_back_within_two_centimetres(tmp_path: Path, spots: int) -> None:
    survey = surveyed(plane, 600.0, 0.5, spots)
    grid = Grid.over((EAST, NORTH, EAST + 600, NORTH + 600), 1.0)
    solved = solve(survey, grid, tmp_path)
    here = quality.at(grid, solved.heights, np.array([[EAST + 50, NORTH + 300]]))
    assert here[0] == pytest.approx(900.50, abs=0.02)
    missed = np.abs(solved.heights - _truth(grid, plane))
    inside = missed[20:-20, 60:-60]  # between the first and the last contour
    assert inside.max() < 0.02
    assert missed.max() < 0.06


def test_hills_are_rounded_not_cut_off_and_nowhere_terraced(tmp_path: Path) -> None:
    survey = surveyed(hills, 1000.0, 2.0)
    grid = Grid.over((EAST, NORTH, EAST + 1000, NORTH + 1000), 2.0)
    solved = solve(survey, grid, tmp_path)
    truth = _truth(grid, hills)
    inside = ~geometry_mask([survey.hull], truth.shape, grid.transform)
    missed = (solved.heights - truth)[inside]
    assert float(np.sqrt((missed**2).mean())) < 0.15
    # The top stands above the last contour, as the truth does: a triangulation would cut it off.
    assert solved.heights.max() > survey.levels.max() + 0.3
    counts = quality.Counts(2.0, 2.0)
    counts.add(np.asarray(solved.heights), np.s_[:, :], np.ones(truth.shape, dtype=bool))
    assert counts.flat_share < 0.005
    assert 0.8 < counts.terracing < 1.2
    assert counts.pits == counts.spikes == 0


def test_tiles_agree_with_the_whole_and_with_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = surveyed(hills, 1000.0, 2.0, 30)
    grid = Grid.over((EAST, NORTH, EAST + 1000, NORTH + 1000), 2.0)
    (tmp_path / "whole").mkdir()
    (tmp_path / "tiles").mkdir()
    whole = solve(survey, grid, tmp_path / "whole")
    monkeypatch.setattr(levels, "TILE", 190)
    tiled = solve(survey, grid, tmp_path / "tiles")
    assert whole.seams_m == (0.0, 0.0)
    assert 0 < tiled.seams_m[0] < 0.005
    assert tiled.seams_m[1] < 0.05
    assert float(np.abs(tiled.heights - whole.heights).max()) < 0.05


def test_a_breakline_keeps_its_edge(tmp_path: Path) -> None:
    """A wall, 905 m west of it and 900 m east of it, given by spots and by its top and foot."""
    rng = np.random.default_rng(5)
    point = np.array([EAST, NORTH]) + rng.uniform(0, 200, (400, 2))
    point = point[np.abs(point[:, 0] - EAST - 100) > 6]
    height = np.where(point[:, 0] < EAST + 100, 905.0, 900.0)
    grid = Grid.over((EAST, NORTH, EAST + 200, NORTH + 200), 1.0)
    plain = Survey(NO_LINES, np.empty(0), NO_LINES, np.column_stack([point, height]))
    ends = NORTH - 5, NORTH + 205
    top = shapely.LineString([(EAST + 99.2, y, 905.0) for y in ends])
    foot = shapely.LineString([(EAST + 101.4, y, 900.0) for y in ends])
    cut = replace(plain, breaklines=np.array([top, foot]))
    near = np.r_[85:99, 102:115]
    truth = np.where(near < 100, 905.0, 900.0)
    soft = np.abs(solve(plain, grid, tmp_path).heights[20:180, near] - truth).max()
    sharp = np.abs(solve(cut, grid, tmp_path).heights[20:180, near] - truth).max()
    assert soft > 1.0
    assert sharp < 0.1


def test_tiles_cover_every_cell_once() -> None:
    grid = Grid(0.0, 0.0, 1.0, 57, 83)
    seen = np.zeros((57, 83), dtype=int)
    for tile in tiles(grid, 20, 3):
        seen[tile.kept] += 1
        assert np.zeros((57, 83))[tile.slices][tile.inner].shape == seen[tile.kept].shape
    assert (seen == 1).all()


def test_the_interval_is_the_usual_step() -> None:
    levels_m = np.array([900, 902, 904, 905, 906, 908, 910.0])
    assert Survey(NO_LINES, levels_m, NO_LINES, np.empty((0, 3))).interval == 2.0
    assert Survey(NO_LINES, levels_m[:1], NO_LINES, np.empty((0, 3))).interval == 0.0
