"""The contract language and what schemas/ says in it."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from pipeline import paths
from pipeline.contracts import codelist, registry, toml
from pipeline.contracts.base import Text
from pipeline.contracts.city import City
from pipeline.contracts.feed import Feed
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.raster import RasterContract
from pipeline.contracts.registry import Schemas
from pipeline.errors import ContractError, SettingsError

CITIES = ("cambridge", "colorado", "nimes_trial", "otterlo", "provence_trial", "qom", "westcape")
# Arabic yeh, kaf and alef maksura: they look Persian and join with nothing.
ARABIC_LETTERS = re.compile("[\u064a\u0643\u0649]")
PERSIAN_LETTER = re.compile("[\u0621-\u06cc]")
ROOT = paths.schemas()
MODELS = {"layers": LayerContract, "feeds": Feed, "cities": City, "rasters": RasterContract}
FILES = sorted(p for folder in MODELS for p in (ROOT / folder).rglob("*.toml"))
LAYERS = sorted(p.stem for p in (ROOT / "layers").glob("*.toml"))


@pytest.fixture(scope="module", params=CITIES)
def schemas(request: pytest.FixtureRequest) -> Schemas:
    return registry.load(request.param)


@pytest.fixture(scope="module")
def both() -> tuple[Schemas, ...]:
    return tuple(registry.load(city) for city in ("cambridge", "qom"))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT, tmp_path / "schemas"))


def texts(contract: LayerContract) -> list[Text]:
    found = [contract.title, contract.description, contract.steward]
    for field in contract.fields:
        found += [text for text in (field.title, field.description) if text]
    return found + [rule.title for rule in contract.rules]


def test_every_city_loads() -> None:
    assert registry.cities() == CITIES


def test_same_layers_in_every_city(both: tuple[Schemas, ...]) -> None:
    assert both[0].layers == both[1].layers
    assert "parcel" in both[0].layers


def test_load_order_puts_what_is_named_first(schemas: Schemas) -> None:
    order = schemas.load_order
    for contract in schemas.layers.values():
        assert all(order.index(other) < order.index(contract.id) for other in contract.after)


def test_unknown_city_lists_the_known() -> None:
    with pytest.raises(SettingsError, match=", ".join(CITIES)):
        registry.load("atlantis")


@pytest.mark.parametrize("layer", LAYERS)
class TestLayer:
    def test_titles_in_both_languages(self, both: tuple[Schemas, ...], layer: str) -> None:
        for text in texts(both[0].layers[layer]):
            assert text.en.isascii(), text
            assert PERSIAN_LETTER.search(text.fa), text
            assert not ARABIC_LETTERS.search(text.fa), text

    def test_style_codes_exist(self, both: tuple[Schemas, ...], layer: str) -> None:
        style = both[0].layers[layer].style
        drawn = [c.code for c in style.classes if c.code is not None]
        if style.field is None:
            assert not drawn
            return
        found = [s.codes(s.layers[layer].field(style.field)) for s in both]
        known = {code for codes in found if codes for code in codes.codes}
        assert set(drawn) <= known
        assert len(drawn) == len(set(drawn))

    def test_label_and_tiles_show_what_the_first_audience_sees(
        self, both: tuple[Schemas, ...], layer: str
    ) -> None:
        contract = both[0].layers[layer]
        shown = {*contract.publish.tile_fields, contract.publish.label, contract.publish.time}
        first = next((a for a in both[0].audiences.values() if a.sees(contract)), None)
        seen = {field.name for field in first.fields(contract)} if first else set()
        assert first is None or shown - {None} <= seen

    def test_patterns_compile(self, both: tuple[Schemas, ...], layer: str) -> None:
        for schemas in both:
            for field in schemas.layers[layer].fields:
                re.compile(schemas.pattern(field) or "")

    def test_unit_ends_the_name(self, both: tuple[Schemas, ...], layer: str) -> None:
        for field in both[0].layers[layer].fields:
            if field.unit:
                ending = "pct" if field.unit == "%" else field.unit.lower()
                assert field.name.endswith(f"_{ending}")


def test_collections_are_named_once(schemas: Schemas) -> None:
    names = [contract.publish.collection for contract in schemas.layers.values()]
    names += [raster.collection for raster in schemas.rasters.values()]
    assert len(names) == len(set(names))


def test_every_code_list_is_used(both: tuple[Schemas, ...]) -> None:
    used = {
        found.id
        for schemas in (*both, registry.load("nimes_trial"))
        for contract in schemas.layers.values()
        for field in contract.fields
        if (found := schemas.codes(field))
    }
    lists_of_pages = {both[0].themes.id, "answer_member", "answer_word"}
    assert used | lists_of_pages == set(both[0].codelists)


def test_code_lists_are_bilingual(schemas: Schemas) -> None:
    for found in schemas.codelists.values():
        for code, text in found.entries.items():
            assert PERSIAN_LETTER.search(text.fa), (found.id, code)
            assert not ARABIC_LETTERS.search(text.fa), (found.id, code)


def test_feed_codes_exist(schemas: Schemas) -> None:
    for feed in schemas.feeds.values():
        personal = {one.name for one in schemas.layers[feed.layer].personal}
        for column in feed.columns:
            if column.to in personal:
                continue
            codes = schemas.codes(schemas.layers[feed.layer].field(column.to))
            given_codes = {*column.values.values()} | ({column.value} - {None})
            assert codes is None or given_codes <= set(codes.codes), (feed.id, column.to)


def test_feed_fills_no_field_twice(schemas: Schemas) -> None:
    for feed in schemas.feeds.values():
        filled = [column.to for column in feed.columns]
        read = {name for column in feed.columns for name in column.sources}
        assert len(filled) == len(set(filled)), feed.id
        assert not read & set(feed.ignore), feed.id


def test_parcel_code_example_fits_pattern(schemas: Schemas) -> None:
    assert re.fullmatch(schemas.city.parcel_code.pattern, schemas.city.parcel_code.example)


@pytest.mark.parametrize("code", ["1A-23", "267.3-275", "269.5-A2", "64-RR1", "10-54A"])
def test_map_lot_takes_lots(code: str) -> None:
    assert re.fullmatch(registry.load("cambridge").city.parcel_code.pattern, code)


@pytest.mark.parametrize("code", ["-", "--", "---", "--R", "--R1", "ROAD", "21-XL", "178--", "RR"])
def test_map_lot_refuses_roads_and_water(code: str) -> None:
    assert not re.fullmatch(registry.load("cambridge").city.parcel_code.pattern, code)


def test_city_names_its_parcel_code_and_zones(both: tuple[Schemas, ...]) -> None:
    assert [s.city.published("parcel_code") for s in both] == ["map_lot", "nosazi"]
    zones = [s.codes(s.layers["plan_zone"].field("zone_code")) for s in both]
    assert [found.id for found in zones if found] == ["plan_zone_cambridge", "plan_zone_qom"]


def test_feet_are_not_metres() -> None:
    assert registry.load("cambridge").city.metres_per_unit == pytest.approx(0.3048006096)


def test_digest_follows_the_code_list(copied: Path) -> None:
    before = registry.load("qom", copied)
    with (copied / "codelists" / "land_use.csv").open("a", encoding="utf-8") as lines:
        lines.write("space_port,پایگاه فضایی,Space port\n")
    after = registry.load("qom", copied)
    assert after.digest("parcel") != before.digest("parcel")
    assert after.digest("region") == before.digest("region")


def broken(root: Path, file: str, old: str, new: str) -> ContractError:
    path = root / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        registry.load("qom", root)
    return caught.value


def test_unknown_key_is_refused_with_file_and_line(copied: Path) -> None:
    old = 'name = "land_use"\n'
    error = broken(copied, "layers/parcel.toml", old, f"{old}colour = 3\n")
    line = (copied / "layers/parcel.toml").read_text(encoding="utf-8").splitlines()
    assert f"parcel.toml:{line.index('colour = 3') + 1}: unknown key" in str(error)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("layers/parcel.toml", 'key = ["parcel_code"]', 'key = ["lot"]', "no such field: lot"),
        ("layers/parcel.toml", 'after = ["block"]', 'after = ["moon"]', "after names no layer"),
        ("layers/parcel.toml", 'codelist = "plot_kind"', 'codelist = "nil"', "no code list nil"),
        ("layers/region.toml", 'id = "region"', 'id = "realm"', "id realm is not the file's name"),
        ("layers/region.toml", "key = [", 'after = ["parcel"]\nkey = [', "round in a circle"),
        ("layers/region.toml", 'theme = "administrative"\n', "", "missing key theme"),
        ("layers/region.toml", "id =", "id ==", "is not TOML"),
    ],
)
def test_mistakes_are_said(copied: Path, file: str, old: str, new: str, said: str) -> None:
    error = broken(copied, file, old, new)
    assert said in str(error)
    assert "\n" not in str(error)


def test_degrees_are_no_crs_of_a_city(copied: Path) -> None:
    file = copied / "cities" / "qom.toml"
    file.write_text(file.read_text("utf-8").replace("srid = 32639", "srid = 4326"), "utf-8")
    with pytest.raises(ContractError, match=r"qom\.toml: srid 4326 is not a projected CRS"):
        _ = registry.load("qom", copied).city.crs


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("code,en,fa\na,b,c\n", 1, "first line"),
        ("code,fa,en\na,الف,A\na,ب,B\n", 3, "code a stands twice"),
        ("code,fa,en\na,الف,A\nb,,B\n", 3, "none empty"),
        ("code,fa,en\na,الف\n", 2, "needs code, fa and en"),
        ("", 1, "first line"),
    ],
)
def test_code_list_error_names_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = tmp_path / "codes.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match=said) as caught:
        codelist.read(path)
    assert f"codes.csv:{line}:" in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_planted_key_is_found_on_its_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A key that does not belong, put anywhere in a real file, is named with its own line."""
    original = data.draw(st.sampled_from(FILES))
    lines = original.read_text(encoding="utf-8").splitlines()
    after = data.draw(st.integers(min_value=0, max_value=len(lines)))
    lines.insert(after, "planted_by_test = 1")
    text = "\n".join(lines)
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        reject()
    path = tmp_path_factory.getbasetemp() / "planted.toml"
    path.write_text(text, encoding="utf-8")
    folder = original.relative_to(ROOT).parts[0]
    with pytest.raises(ContractError) as caught:
        toml.read(path, MODELS[folder])
    assert f"planted.toml:{after + 1}: " in str(caught.value)
    assert "planted_by_test" in str(caught.value)
