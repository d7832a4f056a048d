"""QGIS itself opens the COG over HTTP and the tiles: Debian's PyQGIS, in its own process."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.raster.conftest import EAST, NORTH, Imagery

PYTHON = Path("/usr/bin/python3")
SCRIPT = Path(__file__).with_name("by_qgis.py")
_LIMIT_S = 120


def test_qgis_reads_the_cog_by_ranges_and_draws_it_and_its_tiles(
    imagery: Imagery, tmp_path: Path
) -> None:
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        env.pop(name, None)
    asked = [str(PYTHON), "-c", "import qgis.core"]
    if (
        not PYTHON.exists()
        or subprocess.run(asked, capture_output=True, check=False, env=env).returncode
    ):
        pytest.skip("PyQGIS (Debian: python3-qgis) is not installed for the system's Python")
    x, y = EAST + 100.5, NORTH - 120.5
    for collection in ("orthophoto", "dem"):
        words = [str(PYTHON), str(SCRIPT), imagery.base, collection, str(x), str(y)]
        ended = subprocess.run(
            words, capture_output=True, text=True, env=env, timeout=_LIMIT_S, check=False
        )
        assert ended.stdout.startswith("{"), ended.stderr[-2000:]
        found = json.loads(ended.stdout)
        with rasterio.open(imagery.file(collection)) as file:
            values = [float(value) for value in next(iter(file.sample([(x, y)])))]
            assert found["crs"] == "EPSG:32639"
            assert found["size"] == [file.width, file.height]
        assert found["values"][: len(values)] == pytest.approx(values, abs=1e-3)
        drawn = {name: np.array(found[name]) for name in ("cog", "xyz", "wmts")}
        # By either way to the tiles the same picture; it is that of the file, seen through JPEG and
        # another grid. Of heights the file is drawn as QGIS likes, tiles as a hillshade.
        assert np.abs(drawn["xyz"] - drawn["wmts"]).max() <= 3
        if collection == "orthophoto":
            assert np.abs(drawn["cog"] - values).max() <= 3
            assert np.abs(drawn["xyz"] - values).max() <= 8
        else:
            assert len(set(drawn["xyz"].tolist())) > 1
