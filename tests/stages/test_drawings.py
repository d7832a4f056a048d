"""Drawings: texts, curves, blocks and code pages of CAD programs are read as they are meant."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from ezdxf.filemanagement import new

from pipeline.errors import ArrivalError

PERSIAN = "کوچه یاس ۱۲"
VERSIONS = ["R12", "R2000", "R2004", "R2007", "R2010", "R2013", "R2018"]


def drawing(folder: Path, version: str = "R2010", **options: Any) -> tuple[Any, Any, Any]:
    """A new drawing, its model space, and what saves it and gives its path."""
    made = new(version, setup=False)
    if version != "R12":
        made.units = options.pop("units", 6)

    def save(name: str = "d.dxf", **how: Any) -> Path:
        path = folder / name
        made.saveas(path, **how)
        return path

    return made, made.modelspace(), save


def test_a_real_base_map_has_its_parcels_as_they_were_drawn(reading: Any, real_data: Path) -> None:
    folder = real_data / "cambridge_ma" / "derived"
    found = reading.rows(folder / "basemap_east_cambridge_R2010_feet.dxf.zip")
    kinds = Counter((row["Entity"], row["Layer"]) for row in found)
    assert kinds == {
        ("LWPOLYLINE", "PARCEL"): 806, ("TEXT", "PARCEL_NO"): 806, ("LWPOLYLINE", "CURB"): 590,
        ("LWPOLYLINE", "STRUCTURE"): 76,
    }  # fmt: skip
    plots = [row for row in found if row["Layer"] == "PARCEL"]
    assert all(row["Closed"] and shapely.is_closed(row["geometry"]) for row in plots)
    assert all(row["Elevation"] == 0 and row["Handle"] for row in plots)
    shapes = pyogrio.read_dataframe(folder / "parcels_maps1-29_no_prj_no_cpg.shp.zip")
    drawn = sum(shapely.area(shapely.Polygon(row["geometry"])) for row in plots)
    rings = sum(shapely.area(shapely.Polygon(part.exterior)) for part in shapes.geometry.explode())
    assert drawn == pytest.approx(rings, rel=1e-4)
    numbers = {row["Text"] for row in found if row["Layer"] == "PARCEL_NO"}
    assert numbers == set(shapes["ML"].dropna()) | (numbers - set(shapes["ML"]))
    assert len(numbers & set(shapes["ML"])) > 790


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("binary", [False, True])
def test_persian_texts_come_out_of_every_version(
    reading: Any, tmp_path: Path, version: str, *, binary: bool
) -> None:
    made, space, save = drawing(tmp_path, version)
    made.encoding = "cp1256"
    made.layers.add("معابر ی")
    space.add_text(PERSIAN, dxfattribs={"layer": "معابر ی", "insert": (1, 2)})
    space.add_text("%%uخط%%u 20%%d", dxfattribs={"insert": (3, 4)})
    expected = [PERSIAN, "خط 20°"]
    if version != "R12":
        space.add_mtext(r"{\fArial|b0;سطر ی\Pدوم}", dxfattribs={"insert": (5, 6)})
        expected.append("سطر ی\nدوم")
    found = reading.rows(save(fmt="bin" if binary else "asc"))
    assert [row["Text"] for row in found] == expected
    assert (found[0]["Layer"], found[0]["geometry"].wkt) == ("معابر ی", "POINT (1 2)")


@pytest.mark.parametrize("version", ["R2007", "R2018"])
def test_the_version_decides_and_not_the_code_page(
    reading: Any, tmp_path: Path, version: str
) -> None:
    """GDAL 3.12.4 believes ANSI_1252 here, and makes mojibake."""
    _, space, save = drawing(tmp_path, version)
    space.add_text(PERSIAN)
    path = save()
    data = path.read_bytes()
    assert b"ANSI_1252" in data
    assert reading.rows(path)[0]["Text"] == PERSIAN
    path.write_bytes(data.replace(b"ANSI_1252", b"ANSI_1256"))
    assert reading.rows(path)[0]["Text"] == PERSIAN


def test_raw_bytes_of_another_code_page_than_the_drawing_says_are_found_out(
    reading: Any, tmp_path: Path, bench: Any
) -> None:
    made, space, save = drawing(tmp_path, "R2000")
    made.encoding = "cp1256"
    for place, name in enumerate(("خيابان امام", "كوچه ياس", "ميدان آزادي")):
        space.add_text(name, dxfattribs={"insert": (488000 + place, 3833000)})
    path = save()
    path.write_bytes(path.read_bytes().replace(b"ANSI_1256", b"ANSI_1252"))
    assert [row["Text"] for row in reading.rows(path)] == ["خيابان امام", "كوچه ياس", "ميدان آزادي"]
    columns = bench.filled("poi", {"poi_id": "Handle", "name_fa": "Text"})
    source = {"driver": "DXF", "crs": "EPSG:32639"}
    outcome = bench.check(path, bench.feed("poi", columns=columns, source=source))
    assert outcome.counts["encoding.detected", None] == 1
    assert outcome.account.inserted == 3
    outcome = bench.check(
        path, bench.feed("poi", columns=columns, source={**source, "encoding": "CP1256"})
    )
    assert ("encoding.detected", None) not in outcome.counts
    with pytest.raises(ArrivalError, match="its text is not in the encoding that is declared"):
        bench.check(
            path, bench.feed("poi", columns=columns, source={**source, "encoding": "UTF-8"})
        )


@pytest.mark.parametrize(
    ("units", "tolerance"), [(0, 0.01), (6, 0.01), (2, 0.01 / 0.3048), (4, 10.0)]
)
def test_curves_are_stroked_to_a_centimetre_in_the_drawing_s_units(
    reading: Any, tmp_path: Path, units: int, tolerance: float
) -> None:
    _, space, save = drawing(tmp_path, units=units)
    radius = 500.0
    space.add_circle((1000, 2000), radius)
    space.add_arc((1000, 2000), radius, 350, 100)
    space.add_lwpolyline([(500, 2000, 1), (1500, 2000, 1)], format="xyb", close=True)
    space.add_ellipse((1000, 2000), major_axis=(radius, 0), ratio=1.0)
    found = [row["geometry"] for row in reading.rows(save())]
    for shape in found:
        points = shapely.get_coordinates(shape) - (1000, 2000)
        assert np.hypot(*points.T) == pytest.approx(radius, abs=1e-6)
        middles = (points[1:] + points[:-1]) / 2
        assert (radius - np.hypot(*middles.T)).max() <= tolerance * 1.001
    assert shapely.is_closed(found).tolist() == [True, False, True, True]
    # Not needlessly many, either.
    assert len(shapely.get_coordinates(found[0])) < 4 * np.pi / np.sqrt(8 * tolerance / radius) + 9


def test_blocks_are_resolved_with_their_attributes(reading: Any, tmp_path: Path) -> None:
    made, space, save = drawing(tmp_path)
    inner = made.blocks.new("INNER")
    inner.add_line((0, 0), (1, 0), dxfattribs={"layer": "0", "color": 0})
    outer = made.blocks.new("OUTER")
    outer.add_blockref("INNER", (10, 0))
    outer.add_text("ثابت", dxfattribs={"layer": "LABEL"})
    made.layers.add("SIGN", color=3)
    insert = space.add_blockref(
        "OUTER", (100, 200),
        dxfattribs={"layer": "SIGN", "rotation": 90, "xscale": 2, "yscale": 2, "color": 5},
    )  # fmt: skip
    insert.add_attrib("NOSAZI", "1-12-45-7", (100, 200))
    insert.add_attrib("NAME", "یاس", (100, 201))
    space.add_blockref("MISSING", (0, 0))
    path = save()
    found = reading.rows(path)
    shown = [(r["Entity"], r["Layer"], r["Block"], r["Text"], r["Colour"]) for r in found]
    assert shown == [
        ("INSERT", "SIGN", "OUTER", "1-12-45-7 یاس", 5),
        ("INSERT", "SIGN", "INNER", None, 3),
        ("LINE", "SIGN", "OUTER/INNER", None, 3),
        ("TEXT", "LABEL", "OUTER", "ثابت", 7),
        ("INSERT", "0", "MISSING", None, 7),
    ]
    assert found[0]["Attributes"] == '{"NOSAZI":"1-12-45-7","NAME":"یاس"}'
    assert shapely.get_coordinates(found[2]["geometry"]) == pytest.approx(
        np.array([[100, 220], [100, 222]])
    )
    with reading.opened(path) as layer:
        list(layer.tables(10))
        assert layer.heard == {"a block that is not here is inserted: MISSING"}


def test_a_block_inside_itself_and_endless_copies_are_refused(reading: Any, tmp_path: Path) -> None:
    made, space, save = drawing(tmp_path)
    block = made.blocks.new("LOOP")
    block.add_blockref("LOOP", (1, 1))
    space.add_blockref("LOOP", (0, 0))
    with pytest.raises(ArrivalError, match="nests blocks deeper than 16"):
        reading.rows(save())
    made, space, save = drawing(tmp_path)
    made.blocks.new("DOT").add_point((0, 0))
    space.add_blockref(
        "DOT",
        (0, 0),
        dxfattribs={
            "row_count": 30000,
            "column_count": 30000,
            "row_spacing": 1,
            "column_spacing": 1,
        },
    )
    with pytest.raises(ArrivalError, match="inserts a block 900000000 times at once"):
        reading.rows(save("many.dxf"))


def test_every_kind_of_entity_has_a_row(reading: Any, tmp_path: Path) -> None:
    _, space, save = drawing(tmp_path)
    space.add_point((1, 2, 3))
    space.add_line((0, 0, 5), (1, 1, 7))
    space.add_polyline3d([(0, 0, 1), (1, 0, 2), (1, 1, 3)], close=True)
    space.add_3dface([(0, 0), (1, 0), (1, 1), (0, 1)])
    space.add_solid([(0, 0), (1, 0), (0, 1), (1, 1)])
    hatch = space.add_hatch()
    hatch.paths.add_polyline_path([(0, 0), (4, 0), (4, 4), (0, 4)], is_closed=True)
    hatch.paths.add_polyline_path([(1, 1), (2, 1), (2, 2), (1, 2)], is_closed=True)
    space.add_spline([(0, 0), (5, 5), (10, 0)])
    space.add_lwpolyline([(0, 0), (1, 0)], dxfattribs={"elevation": 930, "extrusion": (0, 0, -1)})
    space.add_xline((0, 0), (1, 0))
    space.add_mline([(0, 0), (10, 0)])
    space.add_lwpolyline([(3, 3)])
    found = reading.rows(save())
    shapes = [None if row["geometry"] is None else row["geometry"].geom_type for row in found]
    assert shapes == [
        "Point", "LineString", "LineString", "Polygon", "Polygon", "Polygon", "LineString",
        "LineString", None, "MultiLineString", None,
    ]  # fmt: skip
    areas = [shapely.area(row["geometry"]) for row in found[3:6]]
    assert areas == [1.0, 1.0, 15.0]
    assert [found[place]["Elevation"] for place in (0, 1, 7)] == [3.0, None, -930.0]
    # The axes of a mirrored entity are its own.
    assert shapely.get_coordinates(found[7]["geometry"]).tolist() == [[0.0, 0.0], [-1.0, 0.0]]
    assert shapely.has_z(found[1]["geometry"])


def test_paper_space_is_left_out_and_a_cut_file_refused(reading: Any, tmp_path: Path) -> None:
    made, space, save = drawing(tmp_path)
    made.paperspace().add_text("frame")
    space.add_text("plot")
    path = save()
    assert [row["Text"] for row in reading.rows(path)] == ["plot"]
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"plot") + 6])
    with pytest.raises(ArrivalError, match=r"d\.dxf: cannot be read: .*ENDSEC"):
        reading.rows(path)


def test_microstation_drawings_of_version_7_are_read(reading: Any, real_data: Path) -> None:
    path = real_data / "bad_inputs" / "vector" / "gdal_smalltest.dgn"
    found = reading.rows(path)
    assert [row["Text"] for row in found if row["Text"]] == ["Demo Text"]
    kinds = [row["geometry"] if "geometry" in row else row[""] for row in found]
    assert sorted(one.geom_type for one in kinds) == [
        "LineString",
        "LineString",
        "Point",
        "Polygon",
    ]


def test_those_of_version_8_are_refused(reading: Any, tmp_path: Path) -> None:
    path = tmp_path / "new.dgn"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600)
    with pytest.raises(
        ArrivalError, match=r"is a MicroStation V8 drawing\. Save it as DXF R2000 or"
    ):
        reading.rows(path)


def test_a_french_exchange_sheet_comes_out_of_its_archive(
    reading: Any, real_data: Path, tmp_path: Path
) -> None:
    path = real_data / "edigeo_cornillon" / "edigeo-130290000A01.tar.bz2"
    with reading.opened(path, "PARCELLE_id") as layer:
        assert (layer.features, "Lambert 93" in str(layer.crs)) == (389, True)
        tables = list(layer.tables(100))
    assert sum(table.num_rows for table in tables) == 389
    labels = reading.rows(path, "PARCELLE_id_LABEL")
    assert len(labels) == 389
    copy = tmp_path / "sheet.tgz"
    shutil.copy(path, copy)
    assert len(reading.rows(copy, "TSURF_id")) == 54
