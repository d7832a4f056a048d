"""Sharpness, clipped tones and holes of pictures whose faults are known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from affine import Affine
from click.testing import CliRunner

from pipeline.cli.raster import raster
from pipeline.errors import ArrivalError
from pipeline.rasters import appearance, seams
from tests.raster.conftest import EAST, NORTH, Make


def _texture(seed: int, blur: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grey = sum(
        cv2.GaussianBlur(rng.normal(0, 1, (600, 700)).astype(np.float32), (0, 0), s) * s * 18
        for s in (0.5, 1.0, 2.0, 4.0)
    )
    if blur:
        grey = cv2.GaussianBlur(grey, (0, 0), blur)
    return np.stack([np.clip(grey + 128, 2, 253)] * 3).astype(np.uint8)


def test_a_blurred_sheet_stands_out(make: Make) -> None:
    files = [make(f"s{n}.tif", _texture(n)) for n in range(5)]
    files += [make("soft.tif", _texture(9, blur=1.0)), make("softer.tif", _texture(9, blur=2.0))]
    found = [appearance.of(path) for path in files]
    sharp = [one.sharpness for one in found]
    assert None not in sharp
    assert min(sharp[:5]) > 2 * sharp[5] > 2 * sharp[6]
    assert appearance.blurred(found) == ["soft.tif", "softer.tif"]
    result = CliRunner().invoke(raster, ["quality", "--json", *map(str, files)])
    assert json.loads(result.stdout)["blurred"] == ["soft.tif", "softer.tif"]
    # Contrast is another thing.
    flat = (_texture(0).astype(int) // 2 + 60).astype(np.uint8)
    assert appearance.of(make("flat.tif", flat)).sharpness == pytest.approx(sharp[0], rel=0.15)


def test_clipped_tones_and_holes_are_counted(make: Make) -> None:
    values = _texture(1)
    values[:, :60], values[:, 60:90] = 0, 255
    mask = np.full((600, 700), 255, np.uint8)
    mask[300:320, 100:150] = 0
    mask[400:410, 400:410] = 0
    mask[:, 690:] = 0  # at the edge: no hole
    found = appearance.of(make("t.tif", values, mask))
    assert (found.holes, found.hole_m2) == (2, 20 * 50 + 100)
    valid = 600 * 700 - 1100 - 6000
    assert found.dark_share == pytest.approx(60 * 690 / valid, abs=1e-4)
    assert found.bright_share == pytest.approx(30 * 690 / valid, abs=1e-4)
    assert found.valid_share == pytest.approx(valid / 420_000, abs=1e-5)


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(b"no")
    with pytest.raises(ArrivalError, match="cannot be read"):
        appearance.of(tmp_path / "x.tif")


def _noise() -> np.ndarray:
    """Ground of 900 x 1100 pixels, (3, rows, columns), with details of a few pixels."""
    rng = np.random.default_rng(4)
    grey = cv2.GaussianBlur(rng.normal(0, 1, (900, 1100)).astype(np.float32), (0, 0), 1.5)
    return np.stack([np.clip(grey * 120 + 128, 2, 253)] * 3).astype(np.uint8)


def test_sheets_that_overlap_are_told_how_far_they_lie_apart(make: Make) -> None:
    """The second shows the ground 2 px too far east and 10 grey levels brighter."""
    ground = _noise()
    one = make("one.tif", ground[:, :, :600])
    east = Affine(1, 0, EAST + 300, 0, -1, NORTH)
    other = make("other.tif", np.minimum(ground[:, :, 298:898] + 10, 255), transform=east)
    good = make("good.tif", ground[:, :, 300:900], transform=east)
    moved, right, _ = seams.between([one, other, good])
    assert (moved.one, moved.other, moved.overlap_px) == ("one.tif", "other.tif", 300 * 900)
    assert moved.rmse_px == pytest.approx(2.0, abs=0.3)
    assert moved.median_px == pytest.approx(2.0, abs=0.3)
    assert moved.chips >= 30
    assert (right.rmse_px, right.difference) == (pytest.approx(0.0, abs=0.05), 0.0)
    told = CliRunner().invoke(raster, ["quality", str(one), str(other)]).stdout
    assert "displaced by 1." in told


@pytest.mark.parametrize("below", [False, True])
def test_the_step_at_a_seam_is_told_beside_what_is_usual(make: Make, *, below: bool) -> None:
    """Heights that rise by 2 cm a cell; the second sheet is half a metre too high."""
    rows, columns = np.mgrid[:80, :100]
    plane = (900 + 0.02 * columns + 0.02 * rows)[None].astype(np.float32)
    place = Affine(1, 0, EAST + (0 if below else 100), 0, -1, NORTH - (80 if below else 0))
    next_one = plane + np.float32(0.5 + (0.02 * 80 if below else 0.02 * 100))
    files = [make("a.tif", plane), make("b.tif", next_one, transform=place)]
    (seam,) = seams.between(files[::-1])
    assert (seam.overlap_px, seam.chips) == (0, 0)
    assert seam.step == pytest.approx(0.52, abs=0.002)
    assert seam.usual == pytest.approx(0.02, abs=0.002)
    far = make("far.tif", plane, transform=Affine(1, 0, EAST + 500, 0, -1, NORTH))
    assert seams.between([files[0], far]) == []


def test_the_real_orthophotos_of_two_frames_fit(real_data: Path) -> None:
    """NGI's own: made by another program, each on a grid of its own."""
    files = sorted((real_data / "aerial_ngi" / "reference_ortho").glob("*.tif"))
    (seam,) = seams.between(files)
    assert seam.chips == 60
    assert seam.median_px is not None
    assert seam.median_px < 1.0


def test_sheets_with_and_without_opacity_are_compared_by_their_colours(real_data: Path) -> None:
    """Five forms of one picture: plain, alpha band, inner mask, outer mask, nodata."""
    files = sorted((real_data / "ortho_colorado").glob("*.tif"))
    found = seams.between(files)
    assert len(found) == 10
    assert {seam.difference for seam in found} == {0.0}
    assert max(seam.rmse_px or 0.0 for seam in found) == pytest.approx(0.0, abs=0.02)
