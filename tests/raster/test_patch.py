"""A city's COG of which one sheet has changed: valid, right, the rest byte for byte as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rio_cogeo.cogeo import cog_validate

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.rasters import patch, publish, tiff
from pipeline.rasters.deliver import deliver
from pipeline.rasters.inspect import Job
from tests.raster.conftest import EAST, NORTH, Make

SIDE = 1100


def _smooth(shift: float) -> Any:
    """A picture without noise, so that JPEG and averages differ by little."""
    y, x = np.mgrid[:SIDE, :SIDE]
    bands = [np.sin(x / 90 + shift), np.cos(y / 70 + shift), np.sin((x + y) / 130 - shift)]
    return (130 + 90 * np.stack(bands)).astype(np.uint8)


def _hills(shift: float) -> Any:
    return (_smooth(shift)[:1].astype(np.float32) / 10 + 900).astype(np.float32)


@pytest.mark.parametrize(
    ("layer", "make_values", "encoding"),
    [
        ("orthophoto", _smooth, {}),
        ("orthophoto", _smooth, {"compress": "WEBP"}),
        ("dem", _hills, {}),
    ],
)
def test_only_touched_tiles_are_encoded_anew(
    database: Database, schemas: Schemas, make: Make, tmp_path: Path, layer: str, make_values: Any,
    encoding: dict[str, str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    contract, home = schemas.rasters[layer], tmp_path / "home"
    chosen = contract.encoding.model_copy(update=encoding)
    contract = contract.model_copy(update={"encoding": chosen})
    places = [(c, r) for r in range(2) for c in range(2)]

    def job(number: int, shift: float) -> Job:
        column, row = places[number]
        where = Affine(1, 0, EAST + column * SIDE, 0, -1, NORTH - row * SIDE)
        path = make(f"s{number}.tif", make_values(shift), transform=where)
        return Job(path, contract, schemas.city)

    _, first = deliver(database, home, schemas, [job(n, n) for n in range(4)])
    assert first is not None
    old = tmp_path / "old.tif"
    old.write_bytes((home / first.path).read_bytes())
    encoded: list[str] = []
    monkeypatch.setattr(publish.cog, "write", _noting(publish.cog.write, encoded))
    _, second = deliver(database, home, schemas, [job(3, 7.5)])
    assert second is not None
    # The sheet's own COG was written, that of the city was not.
    assert [name for name in encoded if name.startswith("mosaic")] == []
    made = tmp_path / "patched.tif"
    made.write_bytes((home / second.path).read_bytes())
    assert cog_validate(str(made), strict=True) == (True, [], [])
    monkeypatch.setattr(patch, "patched", lambda *_: False)
    (home / "rasters" / layer / "served.json").unlink()
    full = publish.publish(database, home, contract, schemas.city, first.run)
    assert full is not None
    assert [name for name in encoded if name.startswith("mosaic")] == ["mosaic.tif"]
    whole, some = _levels(home / full.path), _levels(made)
    assert [values.shape for values, _ in whole] == [values.shape for values, _ in some]
    for (values, mask), (others, same) in zip(whole, some, strict=True):
        assert (mask == same).all()
        apart = np.abs(values.astype(float) - others)
        assert apart.mean() < (3.0 if encoding else 1.0)
        # At the hard edge between two sheets colours of coarser levels are averaged otherwise.
        assert apart.max() <= (40 if encoding else 20)
    assert (whole[0][0] == some[0][0]).all()
    # Tiles of the other sheets are the bytes that they were.
    before, after = tiff.directories(old), tiff.directories(made)
    kept = _tile(old, before[0], 0) == _tile(made, after[0], 0)
    assert kept
    last = len(before[0].whole(tiff.OFFSETS)) - 1
    assert _tile(old, before[0], last) != _tile(made, after[0], last)


def _noting(write: Any, encoded: list[str]) -> Any:
    def noted(source: Path, target: Path, *more: Any, **named: Any) -> Any:
        encoded.append(target.name)
        return write(source, target, *more, **named)

    return noted


def _levels(path: Path) -> list[tuple[Any, Any]]:
    with rasterio.open(path) as dataset:
        count = len(dataset.overviews(1))
    found = []
    for level in (None, *range(count)):
        named = {} if level is None else {"overview_level": level}
        with rasterio.open(path, **named) as dataset:
            found.append((dataset.read(), dataset.read_masks(1)))
    return found


def _tile(path: Path, directory: tiff.Directory, number: int) -> bytes:
    offset, size = (int(directory.whole(tag)[number]) for tag in (tiff.OFFSETS, tiff.COUNTS))
    return path.read_bytes()[offset : offset + size]


def test_a_city_that_grows_is_written_anew(
    database: Database, schemas: Schemas, make: Make, tmp_path: Path, colors: Any
) -> None:
    contract, home = schemas.rasters["orthophoto"], tmp_path / "home"
    jobs = [
        Job(
            make(f"g{n}.tif", colors, transform=Affine(1, 0, EAST + 320 * n, 0, -1, NORTH)),
            contract,
            schemas.city,
        )
        for n in range(3)
    ]
    _, two = deliver(database, home, schemas, jobs[:2])
    _, three = deliver(database, home, schemas, jobs[2:])
    assert two is not None
    assert three is not None
    assert (two.width, three.width) == (640, 960)
    assert cog_validate(str(home / three.path), strict=True) == (True, [], [])


def test_what_is_no_cog_of_ours_is_not_patched(tmp_path: Path, schemas: Schemas) -> None:
    (tmp_path / "a.tif").write_bytes(b"MM\0*" + bytes(60))
    with pytest.raises(ValueError, match="no little-endian TIFF"):
        tiff.directories(tmp_path / "a.tif")
    assert patch._Old.of(tmp_path / "a.tif") is None
