"""FlatGeobuf's index as we make it, read by GDAL, and in memory that is not GDAL's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipeline.serve import flatgeobuf

_SCHEMA = pa.schema([("number", pa.int64()), ("name", pa.string()), ("geometry", pa.binary())])


def by_gdal(rows: pa.RecordBatchReader, path: Path, index: str) -> None:
    pyogrio.write_arrow(
        rows, path, driver="FlatGeobuf", layer="found", geometry_name="geometry",
        geometry_type="Polygon", crs="EPSG:32639", layer_options={"SPATIAL_INDEX": index},
    )  # fmt: skip


def shapes(count: int) -> np.ndarray:
    chance = np.random.default_rng(count)
    x, y = chance.uniform(488_000, 489_000, count), chance.uniform(3_832_000, 3_833_000, count)
    return np.asarray(shapely.box(x, y, x + 9, y + 7))


def reader(drawn: np.ndarray, size: int) -> pa.RecordBatchReader:
    wkb = shapely.to_wkb(drawn)
    columns = [list(range(len(drawn))), [f"قطعه {n}" * (n % 5) for n in range(len(drawn))], wkb]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)]
    batches = pa.table(arrays, schema=_SCHEMA).to_batches(max_chunksize=size)
    return pa.RecordBatchReader.from_batches(_SCHEMA, batches)


@pytest.mark.parametrize("count", [1, 2, 16, 17, 256, 257, 5000])
def test_gdal_finds_by_the_index_what_lies_in_a_box(tmp_path: Path, count: int) -> None:
    drawn, path = shapes(count), tmp_path / "made.fgb"
    flatgeobuf.write(reader(drawn, 300), path, "geometry", by_gdal)
    about = pyogrio.read_info(path)
    assert about["features"] == count
    assert about["total_bounds"] == pytest.approx(shapely.total_bounds(drawn))
    assert about["capabilities"]["fast_spatial_filter"]
    whole = pyogrio.read_dataframe(path)
    assert whole["number"].tolist() == list(range(count))
    assert whole["name"].tolist() == [f"قطعه {n}" * (n % 5) for n in range(count)]
    assert shapely.equals_exact(whole.geometry.values, drawn).all()
    for west, south, side in [(488_000, 3_832_000, 100), (488_450, 3_832_450, 60), (0, 0, 1)]:
        box = (west, south, west + side, south + side)
        found = pyogrio.read_dataframe(path, bbox=box)["number"].tolist()
        assert found == np.nonzero(shapely.intersects(drawn, shapely.box(*box)))[0].tolist()


def test_every_node_holds_those_below_it() -> None:
    leaves = np.empty(4321, flatgeobuf._NODE)
    leaves["box"] = shapely.bounds(shapes(4321))
    levels = flatgeobuf.tree(leaves)
    assert [len(one) for one in levels] == [4321, 271, 17, 2, 1]
    nodes = np.concatenate(levels[::-1])
    inner = len(nodes) - len(leaves)
    for number in range(inner):
        first = int(nodes["first"][number])
        last = next((int(one) for one in nodes["first"][number + 1 : inner]), len(nodes))
        below = nodes["box"][first : last if last > first else len(nodes)][:16]
        assert (nodes["box"][number][:2] == below[:, :2].min(axis=0)).all()
        assert (nodes["box"][number][2:] == below[:, 2:].max(axis=0)).all()


def test_features_without_a_place_are_there_and_in_no_box(tmp_path: Path) -> None:
    drawn = shapes(40)
    drawn[[0, 7, 39]] = None
    path = tmp_path / "made.fgb"
    flatgeobuf.write(reader(drawn, 16), path, "geometry", by_gdal)
    assert len(pyogrio.read_dataframe(path)) == 40
    assert pyogrio.read_info(path)["features"] == 40
    everywhere = pyogrio.read_dataframe(path, bbox=(0, 0, 10_000_000, 10_000_000))
    assert len(everywhere) == 37


def test_nothing_is_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "made.fgb"
    flatgeobuf.write(reader(shapes(0), 16), path, "geometry", by_gdal)
    assert len(pyogrio.read_dataframe(path)) == 0
