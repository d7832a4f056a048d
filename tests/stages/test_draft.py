"""A drafted feed is TOML that parses, tells its evidence, and loads once it is finished."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio
import pytest
import shapely

from pipeline import geo
from pipeline.contracts import registry
from pipeline.contracts.feed import Feed
from pipeline.errors import ArrivalError
from pipeline.stages.draft import draft
from pipeline.stages.encoding import try_encodings
from pipeline.stages.evidence import find_crs

PERSIAN = ["شهرداري قم", "خيابان امام", "كوچه ياس", "ميدان آزادي", "بلوار امين"]


def test_a_draft_of_known_columns_loads_as_it_is(bench: Any) -> None:
    rows = [
        {"nosazi": f"1-01-001-{n:03d}", "land_use": "residential", "area_deed": 400.0, "kind": "x",
         "tarikh": "1396/08/27", "geometry": bench.square(n)}
        for n in range(5)
    ]  # fmt: skip
    path = bench.geopackage(rows, "amlak 1403.gpkg")
    drafted = draft(path, "parcel", bench.schemas)
    raw = tomllib.loads(drafted.toml)
    feed = Feed.model_validate({**raw, "ignore": ["kind", "tarikh"]})
    assert drafted.missing == ()
    assert feed.id == drafted.id == "amlak_1403"
    assert (feed.source.driver, feed.source.crs) == ("GPKG", "EPSG:32639")
    mapped = {column.to: column.source for column in feed.columns}
    assert mapped == {"parcel_code": "nosazi", "land_use": "land_use", "area_deed_m2": "area_deed"}
    outcome = bench.check(path, feed)
    assert (outcome.account.inserted, dict(outcome.counts)) == (5, {})
    assert '# "tarikh" (string): 0% empty, 20% distinct: "1396/08/27"' in drafted.toml
    assert "may be a key" in drafted.toml


def test_a_date_column_gets_the_parser_that_reads_it(bench: Any) -> None:
    rows = [bench.parcel(n) for n in range(3)]
    for row in rows:
        row["source_updated"] = row.pop("changed")
    raw = tomllib.loads(draft(bench.geopackage(rows), "parcel", bench.schemas).toml)
    parsers = {column["to"]: column.get("parser") for column in raw["columns"]}
    assert parsers["source_updated_on"] == "jalali"


def test_what_nothing_fills_is_named_and_the_rest_still_parses(bench: Any) -> None:
    path = bench.geopackage([{"a": 'q"uo\nte', "b]": "\x7f", "geometry": bench.square(0)}])
    drafted = draft(path, "parcel", bench.schemas, name="given")
    raw = tomllib.loads(drafted.toml)
    assert drafted.missing == ("parcel_code",)
    assert "columns" not in raw
    assert '# to = "parcel_code"' in drafted.toml
    assert 'ignore = ["a", "b]"] (before [source])' in drafted.toml
    assert drafted.id == "given"


@pytest.mark.parametrize("encoding", ["cp1256", "utf-8", "utf-8-sig"])
def test_the_encoding_of_a_csv_is_tried_and_shown(bench: Any, encoding: str) -> None:
    lines = "".join(f"{n},{name},{488000 + n},3833000\n" for n, name in enumerate(PERSIAN))
    path = bench.text("noghat.csv", f"no,name,X,Y\n{lines}", encoding)
    drafted = draft(path, "poi", bench.schemas)
    raw = tomllib.loads(drafted.toml)
    assert raw["source"]["encoding"] == encoding.upper().removesuffix("-SIG")
    assert raw["source"]["points"] == {"x": "X", "y": "Y"}
    assert raw["source"]["crs"] == "EPSG:32639"
    # A byte order mark says it; there is no trial then.
    assert ("شهرداري قم" in drafted.toml) == (encoding != "utf-8-sig")
    assert {"to": "name_fa", "from": "name"} in raw["columns"]


def test_the_encoding_of_a_shapefile_without_cpg_is_tried(bench: Any) -> None:
    rows = [{"code": str(n), "name": name, "geometry": bench.square(n)}
            for n, name in enumerate(PERSIAN)]  # fmt: skip
    frame = pyogrio.read_dataframe(bench.geopackage(rows))
    path = bench.folder / "mahalle.shp"
    pyogrio.write_dataframe(frame, path, encoding="CP1256")
    path.with_suffix(".cpg").unlink()
    raw = tomllib.loads(draft(path, "neighbourhood", bench.schemas).toml)
    assert raw["source"]["encoding"] == "CP1256"
    raw["columns"].append({"to": "region_code", "value": "1"})
    raw["columns"].append({"to": "neighbourhood_code", "from": "code"})
    outcome = bench.check(path, Feed.model_validate(raw))
    assert (outcome.account.inserted, dict(outcome.counts)) == (5, {})


@pytest.mark.parametrize(
    ("texts", "encoding"),
    [
        (PERSIAN, "cp1256"), (PERSIAN, "utf-8"),
        (["Élévation", "hôpital", "façade", "près"], "cp1252"),
        (["Şişli", "ağaç", "Iğdır", "değil"], "cp1254"),
    ],
)  # fmt: skip
def test_letters_decide_between_encodings(texts: list[str], encoding: str) -> None:
    found = try_encodings([text.encode(encoding) for text in texts])
    assert found is not None
    assert found.encoding == encoding.upper()
    assert list(found.samples) == texts[:5]


def test_plain_ascii_needs_no_encoding() -> None:
    assert try_encodings([b"abc", b"1"]) is None


@pytest.mark.parametrize(
    ("place", "crs", "sure", "said"),
    [
        ((488672, 3833139), "EPSG:32639", True, "100% lies in the city"),
        ((3833139, 488672), "EPSG:32639", False, "SWAPPED"),
        ((50.8764, 34.6401), "EPSG:4326", True, "100% lies in the city"),
        ((34.6401, 50.8764), "EPSG:4326", False, "SWAPPED"),
        ((5663531, 4110900), "EPSG:3857", True, "100% lies in the city"),
        ((488672 / 0.3048, 3833139 / 0.3048), None, False, "in feet"),
        ((-71.1, 42.37), None, False, "degrees outside of the city"),
        ((12345, 6789), None, False, "nobody can tell"),
    ],
)
def test_coordinates_tell_their_crs(
    place: tuple[float, float], crs: str | None, sure: bool, said: str, bench: Any
) -> None:
    shapes = shapely.points([place])
    found = find_crs(shapes, None, bench.schemas.city)
    assert (found.crs, found.sure) == (crs, sure)
    assert said in found.said
    own = geo.parse_crs("EPSG:4326")
    assert f"{0 if crs != 'EPSG:4326' or not sure else 100}% lies" in (
        find_crs(shapes, own, bench.schemas.city).said
    )


def test_a_real_file_finds_its_key_and_its_place(real_data: Path, cambridge_schemas: Any) -> None:
    path = real_data / "cambridge_ma" / "cadastre" / "ASSESSING_ParcelsFY2014.topojson"
    raw = tomllib.loads(draft(path, "parcel", cambridge_schemas).toml)
    assert raw["source"]["crs"] == "EPSG:4326"
    assert {"to": "parcel_code", "from": "ML"} in raw["columns"]


def test_an_unreadable_file_is_one_line(bench: Any) -> None:
    with pytest.raises(ArrivalError, match=r"x\.gpkg: is in no format that is read here"):
        draft(bench.text("x.gpkg", "no database"), "parcel", bench.schemas)
    path = bench.geopackage([bench.parcel(0)])
    with pytest.raises(ArrivalError, match="has no layer b: planted"):
        draft(path, "parcel", bench.schemas, sheet="b")


def test_an_empty_table_is_drafted_too(bench: Any) -> None:
    table = pa.table({"a": pa.array([], pa.string()), "geometry": pa.array([], pa.binary())})
    path = bench.folder / "empty.gpkg"
    pyogrio.write_arrow(
        table,
        path,
        driver="GPKG",
        geometry_name="geometry",
        geometry_type="Polygon",
        crs="EPSG:32639",
    )
    assert "# 0 rows came." in draft(path, "parcel", bench.schemas).toml


def test_a_finished_draft_is_a_feed_of_the_registry(bench: Any, tmp_path: Path) -> None:
    """As `--write` leaves it: complete ones are read at once, the others wait as .toml.draft."""
    root = tmp_path / "schemas"
    shutil.copytree(bench.schemas.root, root)
    rows = [{"code": f"1-1-1-{n}", "geometry": bench.square(n)} for n in range(3)]
    drafted = draft(bench.geopackage(rows), "parcel", bench.schemas)
    (root / "feeds" / "qom" / f"{drafted.id}.toml").write_text(drafted.toml, encoding="utf-8")
    assert registry.load("qom", root).feed(drafted.id).layer == "parcel"
