"""Sharpness, clipped tones and holes of pictures whose faults are known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.cli.raster import raster
from pipeline.errors import ArrivalError
from pipeline.rasters import appearance
from tests.raster.conftest import Make


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
