"""A synthetic flight over a ground that is known everywhere, and the real one of NGI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from pyproj import CRS

from pipeline.contracts.city import City
from pipeline.contracts.raster import RasterContract
from pipeline.contracts.registry import Schemas


@dataclass(frozen=True)
class Ngi:
    """The files of the real frames."""

    folder: Path

    @property
    def frames(self) -> Path:
        return self.folder / "frames"

    @property
    def words(self) -> list[str]:
        """The options of a command of `makan frames`."""
        eo, camera = self.folder / "ngi_xyz_opk.csv", self.folder / "ngi_int_param.yaml"
        model = self.folder / "dem.tif"
        words = [self.frames, "--eo", eo, "--camera", camera, "--angles", "deg", "--dem", model]
        return [str(word) for word in words]

    @property
    def crs(self) -> CRS:
        return CRS.from_user_input((self.folder / "ngi_xyz_opk.prj").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def ngi(real_data: Path) -> Ngi:
    """The frames of Western Cape."""
    return Ngi(real_data / "aerial_ngi")


@pytest.fixture(scope="session")
def imagery(schemas: Schemas) -> RasterContract:
    """The contract of colours."""
    return next(c for c in schemas.rasters.values() if len(c.bands) == 3)


@pytest.fixture(scope="session")
def qom(schemas: Schemas) -> City:
    """The model city."""
    return schemas.city
