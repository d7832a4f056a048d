"""The sample city: exact where the fixture is, tiling everywhere, dirty just where it says so.

``judge`` is a second, plain reading of contracts and feeds, so that the sample is not only judged
by the loader that is tested on it.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from pyproj import Transformer

from pipeline.cli.sample import sample
from pipeline.contracts import registry
from pipeline.errors import SettingsError
from pipeline.sample import arrays, city, faults, fixture, model, planning, terrain, town

SCHEMAS = registry.load("qom")
EXTENT = SCHEMAS.city.extent
# What a drawing says is judged in tests of drawings.
FEEDS = {name: feed for name, feed in SCHEMAS.feeds.items() if feed.source.driver != "DXF"}
PARCELS, SEED, DIRT = 300, 7, 0.5
P7 = shapely.box(488600, 3833100, 488610, 3833120)
POSTCODE = re.compile(r"^(?!(\d)\1{3})[13-9]{4}[1346-9][013-9]{5}$")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    city.write(folder, parcels=PARCELS, seed=SEED, dirt=0.0)
    return folder


@pytest.fixture(scope="module")
def dirty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dirty")
    city.write(folder, parcels=PARCELS, seed=SEED, dirt=DIRT, imagery=False)
    return folder


@pytest.fixture(scope="module")
def built():
    return town.build(PARCELS, SEED, EXTENT)


def path_of(folder: Path, feed) -> Path:
    (found,) = folder.glob(feed.source.match[0])
    return found


def read(folder: Path, feed):
    """The feed's file as found: a table, and its geometries (None for plain tables)."""
    path, source = path_of(folder, feed), feed.source
    if source.driver == "CSV":
        table = pd.read_csv(path, dtype=str, encoding="utf-8-sig").astype(object)
        if source.points is None:
            return table, None
        x, y = (pd.to_numeric(table[name]) for name in (source.points.x, source.points.y))
        points = shapely.points(x, y)
        points[np.isnan(x)] = None
        return table.drop(columns=[source.points.x, source.points.y]), points
    if source.driver == "XLSX":
        return pyogrio.read_dataframe(path, layer=source.sheet, HEADERS="FORCE"), None
    # GDAL takes Jalali dates in GeoJSON for Gregorian ones, unless told to leave them.
    options = {"DATE_AS_STRING": "YES"} if source.driver == "GeoJSON" else {}
    table = pyogrio.read_dataframe(
        path, layer=source.sheet, encoding=source.encoding, on_invalid="ignore", **options
    )
    shapes = table.geometry.to_numpy().copy()
    _, arrow = pyogrio.read_arrow(path, layer=source.sheet, columns=[])
    for at, wkb in enumerate(arrow.column(arrow.num_columns - 1).to_pylist()):
        if shapes[at] is None and wkb is not None:
            shapes[at] = Unread(shapely.from_wkb(wkb, on_invalid="fix"))
    return pd.DataFrame(table.drop(columns="geometry")), shapes


@dataclass
class Unread:
    """A geometry that cannot be read; ``fixed`` is what closing its ring makes of it."""

    fixed: object

    def code(self) -> str:
        """The finding: too few points, or how wide the gap is."""
        if self.fixed is None:
            return "geometry.degenerate"
        *_, last, first = shapely.get_parts(self.fixed)[0].exterior.coords
        return "geometry.closed" if math.dist(last, first) < 0.005 else "geometry.unclosed"


def is_null(value) -> bool:
    return value is None or value is pd.NA or value != value


def as_number(value):
    text = str(value).translate(str.maketrans("۰۱۲۳۴۵۶۷۸۹٫", "0123456789."))
    return float(text)


def is_date(value) -> bool:
    match = re.fullmatch(r"(\d{4})[/-](\d\d)[/-](\d\d)", str(value))
    return bool(match) and int(match[2]) <= 12 and int(match[3]) <= 31


def is_mojibake(text: str) -> bool:
    pages = ("cp1256", "cp1252")
    return any(
        text == faults.misread(plain, page) for page in pages for plain in unread(text, page)
    )


def unread(text: str, page: str):
    """What the text is if its bytes in ``page`` are UTF-8; nothing if they are not."""
    with contextlib.suppress(UnicodeError, ValueError):
        raw = b"".join(bytes([ord(c)]) if 0x7F < ord(c) < 0xA0 else c.encode(page) for c in text)
        if raw.decode() != text:
            yield raw.decode()


def value_code(value, field, column) -> str | None:
    """The finding for one value, or None."""
    if is_null(value):
        return "value.missing" if field.required else None
    if field.type in ("integer", "number"):
        try:
            number = as_number(value)
        except ValueError:
            return "value.type"
        low = field.min is not None and number < field.min
        return "value.range" if low or (field.max is not None and number > field.max) else None
    if field.type == "date":
        return None if is_date(value) else "value.type"
    if field.type == "boolean":
        return None if column.values.get(str(value)) in ("true", "false") else "value.type"
    text = column.values.get(str(value), str(value))
    return text_code(text, field)


def text_code(text: str, field) -> str | None:
    codes, pattern = SCHEMAS.codes(field), SCHEMAS.pattern(field)
    if codes and text not in codes.codes:
        return "value.code_unknown"
    if pattern and not re.search(pattern, text):
        return "value.pattern"
    if is_mojibake(text):
        return "value.mojibake"
    return "value.too_long" if field.max_length and len(text) > field.max_length else None


def shape_code(shape, contract, feed) -> str | None:
    """The finding for one geometry, or None."""
    if shape is None:
        return "geometry.missing"
    if isinstance(shape, Unread):
        return shape.code()
    if shape.is_empty:
        return "geometry.empty"
    kind = kind_code(shape, contract.geometry.type)
    return kind or place_code(shape, contract, feed)


def place_code(shape, contract, feed) -> str | None:
    """The finding for where a readable geometry lies, and for how it is drawn."""
    if feed.source.crs == "EPSG:4326":
        to_city = Transformer.from_crs(4326, SCHEMAS.city.srid, always_xy=True)
        shape = shapely.transform(shape, to_city.transform, interleaved=False)
    inside = shapely.box(*EXTENT.bounds)
    if not inside.contains(shape.envelope):
        swapped = shapely.transform(shape, lambda xy: xy[:, ::-1])
        return "geometry.swapped" if inside.contains(swapped.envelope) else "geometry.outside"
    if not shape.is_valid:
        changed = abs(shapely.make_valid(shape).area - shape.area) / max(shape.area, 1e-9)
        limit = contract.geometry.max_repair_share
        return "geometry.unrepairable" if changed > limit else "geometry.repaired"
    size = shape.area if contract.geometry.min_area_m2 else shape.length
    least = contract.geometry.min_area_m2 or contract.geometry.min_length_m
    narrow = contract.geometry.min_width_m
    small = least and size < least
    if small or (narrow and shape.buffer(-narrow / 2).is_empty):
        return "geometry.sliver"
    return outline_code(shape)


def kind_code(shape, wanted: str) -> str | None:
    """The finding where the geometry is of another kind than the layer takes."""
    points = shapely.get_coordinates(shape)
    if not np.isfinite(points).all():
        return "geometry.nonfinite"
    if shape.geom_type == "GeometryCollection":
        return "geometry.collection"
    if shape.geom_type.endswith("Polygon") and len(np.unique(points, axis=0)) < 3:
        return "geometry.degenerate"
    kind = shape.geom_type.removeprefix("Multi")
    if kind == wanted.removeprefix("Multi"):
        return None
    closed = kind == "LineString" and shape.coords[0] == shape.coords[-1]
    return "geometry.closed_line" if closed else "geometry.type"


def outline_code(shape) -> str | None:
    """The finding for how a valid geometry is drawn."""
    parts = list(getattr(shape, "geoms", [shape]))
    if any(part.is_empty for part in parts):
        return "geometry.empty_part"
    rings = [r for p in parts for r in ([p.exterior, *p.interiors] if p.area else [p])]
    for ring in rings:
        points = [tuple(point[:2]) for point in ring.coords]
        if any(math.dist(a, b) < 0.001 for a, b in itertools.pairwise(points)):
            return "geometry.repeated_points"
        if shape.area and len(points) > 3 and min(corners(points)) < math.radians(1):
            return "geometry.spike"
    return None


def corners(points) -> list[float]:
    """The angle at each corner of a closed ring; of lines none is sharp."""
    if points[0] != points[-1]:
        return [math.pi]
    around = [points[-2], *points]
    found = []
    for a, b, c in zip(around, around[1:], around[2:], strict=False):
        one = math.atan2(a[1] - b[1], a[0] - b[0])
        other = math.atan2(c[1] - b[1], c[0] - b[0])
        apart = abs(one - other) % (2 * math.pi)
        found.append(min(apart, 2 * math.pi - apart))
    return found


def rule_codes(row: dict, contract):
    for rule in contract.rules:
        left, right = row.get(rule.left), row.get(rule.right)
        if is_null(left) or (rule.kind == "compare" and is_null(right)):
            continue
        if rule.kind == "requires":
            broken = is_null(right)
        elif rule.op == "=":
            broken = abs(left - right) > rule.tolerance * right
        else:
            broken = left > right if rule.op == "<=" else left < right
        if broken:
            yield ("rule.refused" if rule.severity == "error" else "rule.broken", rule)


def judge_values(table: pd.DataFrame, feed, rows: list[dict]):
    """Findings of all values; ``rows`` get the values under the contract's names."""
    contract = SCHEMAS.layer(feed.layer)
    for column in feed.columns:
        if column.source is None or column.to in {one.name for one in contract.personal}:
            continue
        field = contract.field(column.to)
        numeric = field.type in ("integer", "number")
        for at, value in enumerate(table[column.sources[0]]):
            code = value_code(value, field, column)
            if code:
                yield at + 1, code, field.name
            good = numeric and code is None and not is_null(value)
            rows[at][field.name] = as_number(value) if good else value


def judge_shapes(shapes, feed, rows: list[dict]):
    """Findings of all geometries; ``rows`` get the area that is measured on them."""
    contract = SCHEMAS.layer(feed.layer)
    areas = [field.name for field in contract.fields if field.derive == "area"]
    seen = set()
    for at, shape in enumerate(shapes):
        if shape is None and not contract.geometry.required:
            continue
        code = shape_code(shape, contract, feed)
        if code:
            yield at + 1, code, ""
            continue
        rows[at] |= dict.fromkeys(areas, shape.area)
        if shape.wkb in seen and not contract.geometry.may_repeat:
            yield at + 1, "geometry.duplicate", ""
        seen.add(shape.wkb)


def judge(folder: Path, feed) -> set[tuple[int, str, str]]:
    """All findings of one file: row from 1, code, field ('' for geometry)."""
    table, shapes = read(folder, feed)
    contract = SCHEMAS.layer(feed.layer)
    rows = [dict[str, object]() for _ in range(len(table))]
    found = set(judge_values(table, feed, rows))
    if shapes is not None:
        found |= set(judge_shapes(shapes, feed, rows))
    keys = pd.Series([tuple(str(row.get(name)) for name in contract.key) for row in rows])
    doubled = np.flatnonzero(keys.duplicated(keep=False))
    found |= {(at + 1, "key.duplicate", " ".join(contract.key)) for at in doubled}
    spoilt = {row for row, _, _ in found}
    for at, row in enumerate(rows):
        if at + 1 not in spoilt:
            found |= {(at + 1, code, rule.id) for code, rule in rule_codes(row, contract)}
    return found


def test_partition_touches_and_ends_exactly():
    counts, lengths = np.array([2, 1, 3]), np.array([10.0, 5.0, 7.0])
    start, end = arrays.partition(counts, np.array([1.0, 3, 1, 1, 1, 2]), lengths)
    assert end.tolist() == [2.5, 10.0, 5.0, 1.75, 3.5, 7.0]
    assert start.tolist() == [0.0, 2.5, 0.0, 0.0, 1.75, 3.5]


def test_clusters_are_whole_numbers_and_the_first_point_leads():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 100, (2, 200))
    label = arrays.clusters(x, y, 5, first=17)
    assert label[17] == 0
    assert set(label) == {0, 1, 2, 3, 4}
    assert (label == arrays.clusters(x, y, 5, first=17)).all()


@pytest.mark.parametrize(("parcels", "seed"), [(50, 1), (51, 2), (300, 3), (3000, 4)])
def test_plots_tile_their_blocks(parcels, seed):
    bare = model.build(parcels, seed, EXTENT)
    assert len(bare.lots) == parcels
    assert shapely.is_valid(bare.plots).all()
    assert shapely.is_valid(bare.block_shapes).all()
    assert shapely.coverage_is_valid(bare.plots)
    summed = np.bincount(bare.lots.block, weights=shapely.area(bare.plots))
    assert np.abs(summed - shapely.area(bare.block_shapes)).max() < 1e-6
    tree = shapely.STRtree(bare.block_shapes)
    assert not len(tree.query(bare.block_shapes, predicate="overlaps")[0])


def test_areas_tile_and_hold_their_blocks(built):
    areas, bare = built.areas, built.city
    for number in (areas.region, areas.district, areas.neighbourhood, areas.postal):
        values, shapes = areas.dissolved(number)
        assert shapely.coverage_is_valid(shapes)
        home = shapes[list(values).index(number[bare.blocks.cell[0]])]
        assert home.contains(P7)
    assert set(areas.region) == set(range(1, 9))
    assert shapely.contains_properly(areas.shapes[bare.blocks.cell], bare.block_shapes).all()


def test_houses_stand_on_their_plots(built):
    inside = shapely.contains(built.city.plots[built.houses.lot], built.houses.shapes)
    assert inside.all()


def test_streets_keep_off_the_blocks(built):
    tree = shapely.STRtree(built.city.block_shapes)
    assert not len(tree.query(built.streets.shapes, predicate="intersects")[0])
    assert shapely.length(built.streets.shapes).min() > 1.0


def test_same_arguments_same_city(clean, tmp_path):
    city.write(tmp_path, parcels=PARCELS, seed=SEED, dirt=0.0, imagery=False)
    for feed in FEEDS.values():
        first, second = read(clean, feed), read(tmp_path, feed)
        pd.testing.assert_frame_equal(first[0], second[0])
        if first[1] is not None:
            nothing = shapely.is_missing(first[1]) & shapely.is_missing(second[1])
            assert (nothing | shapely.equals_exact(first[1], second[1])).all()
    for name in ("khotut_shekast.dxf", "barg_500.dxf", "sarshomari_1395.xlsx"):
        assert (clean / name).read_bytes() == (tmp_path / name).read_bytes()


def test_another_seed_is_another_city_with_the_same_fixture():
    one, other = (model.build(PARCELS, seed, EXTENT) for seed in (1, 2))
    assert not np.array_equal(one.points, other.points)
    for bare in (one, other):
        assert bare.plots[bare.p7].normalize().equals_exact(P7.normalize())


def test_too_few_and_too_many_parcels_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="too few"):
        city.write(tmp_path, parcels=10, seed=1, dirt=0.0)
    with pytest.raises(SettingsError, match="no room"):
        model.build(20_000, 1, EXTENT.model_copy(update={"xmax": 490_000.0, "xmin": 487_000.0}))
    with pytest.raises(SettingsError, match="share"):
        city.write(tmp_path, parcels=50, seed=1, dirt=5.0)


def row_where(folder: Path, feed: str, column: str, value):
    table, shapes = read(folder, SCHEMAS.feed(feed))
    (at,) = np.flatnonzero(table[column] == value)
    return table.iloc[at], None if shapes is None else shapes[at]


def test_fixture_parcel(clean):
    row, shape = row_where(clean, "parcels", "KOD_NOSAZI", "1-12-45-7-0-0-0")
    assert shape.normalize().equals_exact(P7.normalize())
    assert (row.MAS_SANAD, row.MAS_MOJUD, row.MAS_BAGHI) == (200.0, 200.0, 180.0)
    assert (row["کاربری"], row.KOD_BLOK) == ("مسکونی", "1-12-45")
    assert row.PLAK_SABTI == "1234/567 بخش 4"
    table, shapes = read(clean, SCHEMAS.feed("parcels"))
    at = table.KOD_BLOK == "1-12-45"
    assert sorted(code.split("-")[3] for code in table.KOD_NOSAZI[at]) == list("123456789")
    project, strip = row_where(clean, "projects", "شماره", "PR-1")
    assert project[["عنوان", "تاریخ_ابلاغ"]].tolist() == ["تعریض کوچه یاس", "1402/02/31"]
    assert strip.area == pytest.approx(50 * 12)
    lost = dict(
        zip(table.KOD_NOSAZI, shapely.area(shapely.intersection(shapes, strip)), strict=True)
    )
    assert {code.split("-")[3] for code, area in lost.items() if area > 0} == set("56789")
    assert lost["1-12-45-7-0-0-0"] == pytest.approx(20.0)


def test_fixture_building_and_postcode(clean):
    row, shape = row_where(clean, "buildings", "KOD_SAKHT", "1-12-45-7-1-0-0")
    assert shape.area == pytest.approx(108.0, abs=1e-6)
    assert P7.contains(shape)
    assert row.TABAGHAT == "3"
    row, point = row_where(clean, "postcodes", "KOD_POSTI", "3715613947")
    assert P7.contains(point)
    assert row.KOD_NOSAZI == "1-12-45-7-0-0-0"
    _, area = row_where(clean, "postcode_areas", "PISH_SHOMARE", "37156")
    assert area.contains(point)


def test_fixture_street_and_plan(clean):
    table, shapes = read(clean, SCHEMAS.feed("streets"))
    front = shapely.LineString([(488600, 3833096), (488610, 3833096)])
    (at,) = np.flatnonzero(shapely.distance(shapes, front.centroid) < 1e-6)
    assert shapes[at].buffer(0.001).contains(front)
    assert table.iloc[at][["NAM", "ARZ_MOJUD", "ARZ_TARH"]].tolist() == ["كوچه ياس", 8.0, 12.0]
    lines, shapes = read(clean, SCHEMAS.feed("plan_road_lines"))
    edges = shapes[(table.KOD[at] == lines.KOD_MABAR) & (lines.NOE == "بر")]
    inner = [shapely.intersection(edge, P7) for edge in edges]
    assert [(line.length, line.bounds[1]) for line in inner if line.length] == [(10.0, 3833102.0)]
    zones, shapes = read(clean, SCHEMAS.feed("plan_zones"))
    covered = shapely.area(shapely.intersection(shapes, P7))
    assert covered.sum() == pytest.approx(200.0)
    assert zones.PAHNE[covered > 0].tolist() == ["R2"]
    rules, _ = read(clean, SCHEMAS.feed("zone_rules"))
    (rule,) = rules[rules["پهنه"] == "R2"].to_dict("records")
    facts = [rule[name] for name in ("سطح اشغال", "تراکم", "طبقات", "مبنای مساحت")]
    assert facts == [60, "۱۸۰", 3, "باقی مانده"]


def test_fixture_census_block(clean):
    row, shape = row_where(clean, "census_blocks", "CODE_BLOK", "250101101100010001")
    assert shape.normalize().equals_exact(shapely.box(488580, 3833100, 488680, 3833140).normalize())
    table, _ = read(clean, SCHEMAS.feed("census_figures"))
    figures = table[table["کد بلوک"] == row.CODE_BLOK].set_index("متغیر")["مقدار"]
    assert figures[["جمعیت", "خانوار"]].tolist() == [88, 26]
    _, houses = read(clean, SCHEMAS.feed("buildings"))
    inside = houses[shapely.intersects(houses, shape)]
    west = shapely.box(488580, 3833100, 488630, 3833140)
    assert shapely.within(inside, west).all()
    assert west.area / shape.area == 0.5


def test_fixture_terrain_and_target(clean):
    at = (488650.0, 3833110.0)
    assert terrain.height(np.array([at[0]]), np.array([at[1]]))[0] == pytest.approx(900.5)
    lines, shapes = read(clean, SCHEMAS.feed("contours"))
    near = int(np.argmin(shapely.distance(shapes, shapely.Point(at))))
    assert lines.ELEV[near] == 900.5
    assert shapely.distance(shapes[near], shapely.Point(at)) < 0.02
    _, points = read(clean, SCHEMAS.feed("spot_heights"))
    east, north, z = shapely.get_coordinates(points, include_z=True).T
    assert z == pytest.approx(terrain.height(east, north), abs=0.006)
    with rasterio.open(clean / "ortho_4_1.tif") as photo:
        assert photo.crs.to_epsg() == 32639
        pixels = photo.read(window=photo.window(488650, 3833118, 488654, 3833122))
        assert (pixels.reshape(3, -1).T == (220, 20, 20)).all()
        assert tuple(next(photo.sample([(488649.9, 3833120)]))) != (220, 20, 20)


def test_bare_sheet_has_its_place_in_the_world_file_only(clean):
    with rasterio.open(clean / "tasvir_4_2.tif") as photo:
        assert photo.crs is None
    assert (clean / "tasvir_4_2.tfw").read_text().split()[0] == "0.2000000000"


def test_cp1256_file_keeps_every_letter(clean, built):
    feed = SCHEMAS.feed("streets")
    assert path_of(clean, feed).with_suffix(".cpg").read_text().strip() in ("CP1256", "1256")
    table, _ = read(clean, feed)
    unfolded = table.NAM.str.replace("ي", "ی").str.replace("ك", "ک")
    expected = pd.Series(built.names.fa).str.replace("\u200c", " ")
    assert unfolded.tolist() == expected.tolist()


@pytest.mark.parametrize("name", sorted(FEEDS))
def test_feed_takes_every_column(clean, name):
    feed = SCHEMAS.feed(name)
    table, shapes = read(clean, feed)
    used = {source for column in feed.columns for source in column.sources}
    assert set(table.columns) == used | set(feed.ignore)
    contract = SCHEMAS.layer(feed.layer)
    assert (shapes is None) == (contract.geometry is None)
    if shapes is not None:
        kinds = {shape.geom_type.removeprefix("Multi") for shape in shapes if shape is not None}
        assert kinds == {contract.geometry.type.removeprefix("Multi")}
    if feed.source.driver in ("GPKG", "ESRI Shapefile", "GeoJSON"):
        assert pyogrio.read_info(path_of(clean, feed))["crs"] == feed.source.crs


@pytest.mark.parametrize("name", sorted(FEEDS))
def test_clean_twin_has_no_fault(clean, name):
    assert judge(clean, SCHEMAS.feed(name)) == set()


def test_clean_truth_is_empty(clean):
    assert json.loads((clean / "truth.json").read_text()) == []


def truth(folder: Path):
    return json.loads((folder / "truth.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(FEEDS))
def test_planted_faults_are_where_the_truth_says(dirty, name):
    feed = SCHEMAS.feed(name)
    listed = {(f["row"], f["code"], f["field"]) for f in truth(dirty) if f["feed"] == name}
    found = judge(dirty, feed)
    assert listed <= found
    spoilt = {row for row, _, _ in listed}
    assert {row for row, _, _ in found} == spoilt


def test_truth_has_one_fault_a_row_of_many_kinds(dirty):
    listed = truth(dirty)
    rows = [(fault["file"], fault["row"]) for fault in listed]
    assert len(set(rows)) == len(rows)
    codes = {fault["code"] for fault in listed}
    geometry = ["missing", "empty", "repaired", "unrepairable", "outside", "swapped", "sliver"]
    geometry += ["duplicate", "nonfinite", "repeated_points", "degenerate", "collection", "type"]
    geometry += ["closed_line", "spike", "closed", "unclosed"]
    value = ["missing", "pattern", "range", "code_unknown", "type", "too_long", "mojibake"]
    expected = {f"geometry.{kind}" for kind in geometry} | {f"value.{kind}" for kind in value}
    assert codes >= expected | {"key.duplicate", "rule.broken"}
    with (dirty / "truth.csv").open(encoding="utf-8", newline="") as file:
        assert [int(row["row"]) for row in csv.DictReader(file)] == [f["row"] for f in listed]


@pytest.mark.parametrize(
    ("parcels", "seed", "dirt", "torn"),
    [(50, 1, 1.0, 3), (50, 2, 0.5, 40), (50, 3, 0.1, 3), (300, 2, 0.1, 3), (800, 1, 1.0, 3)],
)
def test_torn_rows_stay_as_they_were_torn_in_a_dirty_city(tmp_path, parcels, seed, dirt, torn):
    """Each of these cities could not be made when dirt came first."""
    truth = {}
    for name, share in (("torn", 0.0), ("both", dirt)):
        city.write(tmp_path / name, parcels=parcels, seed=seed, dirt=share, torn=torn,
                   imagery=False)  # fmt: skip
        truth[name] = json.loads((tmp_path / name / "truth.json").read_text())
    fabric = [one for one in truth["both"] if one["code"].startswith("fabric.")]
    assert fabric == truth["torn"]
    places = {(one["file"], one["row"]) for one in fabric}
    dirty = [one for one in truth["both"] if not one["code"].startswith("fabric.")]
    assert dirty
    assert not [one for one in dirty if (one["file"], one["row"]) in places]


def test_command_tells_what_it_wrote(tmp_path):
    words = [str(tmp_path), "--parcels", "60", "--dirt", "0.2", "--no-imagery", "--json"]
    told = CliRunner().invoke(sample, words, catch_exceptions=False)
    summary = json.loads(told.stdout)
    assert summary["rows"]["amlak.gpkg"] == 60
    assert sum(summary["faults"].values()) == len(truth(tmp_path)) > 0
    assert not list(tmp_path.glob("ortho*"))


def test_fixture_is_never_spoilt(dirty):
    row, shape = row_where(dirty, "parcels", "KOD_NOSAZI", "1-12-45-7-0-0-0")
    assert (shape.area, row.MAS_SANAD) == (200.0, 200.0)


def test_postcodes_have_the_usual_digits(clean):
    table, _ = read(clean, SCHEMAS.feed("postcodes"))
    assert all(POSTCODE.match(code) and code.startswith("37") for code in table.KOD_POSTI)


def test_every_zone_code_has_a_rule(clean):
    zones, _ = read(clean, SCHEMAS.feed("plan_zones"))
    rules, _ = read(clean, SCHEMAS.feed("zone_rules"))
    assert set(zones.PAHNE) <= set(rules["پهنه"])
    assert set(planning.ZONES) <= set(rules["پهنه"])
    assert fixture.ZONE_CODE in planning.ZONES


def test_fixture_price_block(clean):
    table, shapes = read(clean, SCHEMAS.feed("price_blocks"))
    around = table[shapely.contains(shapes, P7) & (table.SAL == 1404) & (table.RADIF == 1)]
    (row,) = around.to_dict("records")
    assert (row["KOD_BLOK"], row["ZAMIN"], row["BANA"]) == ("PB-3", 500_000, 300_000)
    assert is_null(row["ZAMIN_TEJARI"])
    assert is_null(row["BANA_FELEZI"])
    of_streets = table[table.RADIF > 1]
    streets, _ = read(clean, SCHEMAS.feed("streets"))
    assert set(of_streets.KOD_MABAR) <= set(streets.KOD)
