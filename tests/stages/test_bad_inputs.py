"""Every broken file of the shared test data: no trace, nothing good made of it.

``python tests/stages/test_bad_inputs.py`` writes docs/bad-inputs.md anew; the test compares.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import tempfile
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyogrio
import pytest

from pipeline import paths, testing
from pipeline.contracts import registry
from pipeline.contracts.feed import Feed
from pipeline.contracts.field import Field
from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import migrate as migration
from pipeline.db.cluster import Cluster
from pipeline.db.engine import Database
from pipeline.errors import MakanError
from pipeline.findings import Catalog
from pipeline.rasters.inspect import Job, inspect
from pipeline.settings import Settings
from pipeline.stages import load as loading
from pipeline.stages.context import Context
from pipeline.stages.draft import draft

FOLDER = testing.shared_data() / "bad_inputs"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bad-inputs.md"
# Which layer a file is tried for, by the geometry it claims.
LAYERS = {"Point": "poi", "Line": "street", "None": "zone_rule"}
WHOLE_WORLD = (
    "[extent]\nxmin = -20037508.0\nymin = -20037508.0\nxmax = 20037508.0\nymax = 20037508.0\n\n"
)
HEAD = """\
# Broken files, and what Makan says

Made by `python tests/stages/test_bad_inputs.py` from the 72 files of `../shared/data/bad_inputs`; a
test keeps it fresh.

## Vector files

Each file is drafted (`makan feed draft`), the required fields that are left get a
column or a constant, and the feed is tried as it is, then with a CRS declared where the file names
none. The trial city has the whole world as its extent (EPSG:3857), so that every fault must be
noticed for itself, not for lying elsewhere. None gives a trace. Rows called good have been looked
at: the file is odd there, but what it holds is read as it is meant.
"""
RASTERS = """\

## Images and elevation models

Each is offered as orthophoto and as elevation model of Qom (`makan raster load FILE --as …`); what
is wrong with it as either is told here, and neither is taken. `tests/raster/test_bad_inputs.py`
lets place and bands pass as well, so that damage of the pixels must be found for itself.
"""
COLUMNS = "| file | what is wrong | what Makan says |\n|---|---|---|\n"


def world(folder: Path) -> Schemas:
    """The contracts for a trial city that is everywhere."""
    root = folder / "schemas"
    shutil.copytree(paths.schemas(), root)
    profile = (root / "cities" / "qom.toml").read_text(encoding="utf-8")
    profile = profile.replace('id = "qom"', 'id = "world"').replace("srid = 32639", "srid = 3857")
    profile = re.sub(r"\[extent\][^\[]*", WHOLE_WORLD, profile)
    (root / "cities" / "world.toml").write_text(profile, encoding="utf-8")
    return registry.load("world", root)


@dataclass
class Trial:
    """One file with its feed, and what was said of it."""

    path: Path
    schemas: Schemas

    def feeds(self) -> Iterator[Feed]:
        """The drafted and completed feed, and the same with a CRS."""
        layer = self.schemas.layer(self._layer())
        drafted = draft(self.path, layer.id, self.schemas)
        listed = re.search(r"^# ignore = (\[.*\]) \(before", drafted.toml, re.MULTILINE)
        raw = {"columns": [], **tomllib.loads(drafted.toml)}
        raw["ignore"] = json.loads(listed[1]) if listed else []
        for name in drafted.missing:
            free = [one for one in raw["ignore"] if name == layer.key[0]]
            origin = {"from": free[0]} if free else {"value": self._constant(layer.field(name))}
            raw["columns"].append({"to": name, **origin})
        raw["columns"] += self._numbers(layer, raw["ignore"])
        yield Feed.model_validate(raw)
        raw["source"]["crs"] = "EPSG:3857"
        yield Feed.model_validate(raw)

    def _numbers(self, layer: LayerContract, free: list[str]) -> list[dict[str, str]]:
        """The first column of a plain table that Python takes for numbers, as a number."""
        if layer.geometry is not None:
            return []
        wanted = next(f.name for f in layer.fields if f.type == "number" and not f.required)
        frame = pyogrio.read_dataframe(self.path)
        for name in free[1:]:
            try:
                frame[name].dropna().map(float)
            except (ValueError, TypeError):
                continue
            return [{"to": wanted, "from": name}]
        return []

    def _layer(self) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                kind = str(pyogrio.read_info(self.path)["geometry_type"])
            except Exception:  # noqa: BLE001 - whatever it is, makan shall say it
                return "neighbourhood"
        return next((name for part, name in LAYERS.items() if part in kind), "neighbourhood")

    def _constant(self, field: Field) -> str | int:
        codes = self.schemas.codes(field)
        if field.type in ("integer", "number"):
            return int(field.min or 1)
        return codes.codes[0] if codes else "1"

    def said(self, database: Database | None = None) -> list[str]:
        """What check (or load) says of the feeds, until one reads the file."""
        lines: list[str] = []
        try:
            for feed in self.feeds():
                lines.append(self._tried(feed, database))
                if "the CRS is unknown" not in lines[-1]:
                    break
        except MakanError as error:
            lines.append(str(error))
        return lines

    def _tried(self, feed: Feed, database: Database | None) -> str:
        context = Context(self.schemas, Catalog.load(), feed, self.schemas.layer(feed.layer))
        options: dict[str, Any] = {"batch_rows": 100, "progress": lambda *_: None}
        try:
            if database is None:
                outcome = loading.check(self.path, context, **options)
            else:
                outcome = loading.load(database, self.path, context, **options)
        except MakanError as error:
            return str(error)
        account = outcome.account
        assert account.closes
        good = account.inserted + account.updated + account.unchanged
        found = sorted({code for code, _ in outcome.counts})
        told = f": {', '.join(f'`{code}`' for code in found)}" if found else ""
        return f"{account.arrived} arrived, {good} good{told}"


def manifest(kind: str) -> list[dict[str, str]]:
    """The ``vector`` or ``raster`` files, and what is wrong with them."""
    with (FOLDER / "MANIFEST.csv").open(encoding="utf-8") as lines:
        return [row for row in csv.DictReader(lines) if row["file"].startswith(f"{kind}/")]


def refused(path: Path, schemas: Schemas, catalog: Catalog) -> str:
    """What `makan raster load` says of an image, as whatever it is loaded."""
    messages: dict[str, None] = {}
    for kind in ("orthophoto", "dem"):
        found = inspect(Job(path, schemas.raster(kind), schemas.city), catalog)
        assert not found.accepted(catalog)
        messages |= {
            f"{catalog.message(one)} (`{one.code}`)": None
            for one in found.findings
            if catalog.severity(one.code) == "error"
        }
    return "; ".join(messages)


def table(schemas: Schemas) -> str:
    """docs/bad-inputs.md."""
    lines = [HEAD, COLUMNS.rstrip("\n")]
    for row in manifest("vector"):
        said = "; then ".join(Trial(FOLDER / row["file"], schemas).said())
        name = Path(row["file"]).name
        lines.append(
            f"| `{name}` | {row['what']} | {said.replace(f'{name}: ', '').replace('|', '/')} |"
        )
    qom, catalog = registry.load("qom"), Catalog.load()
    lines += [RASTERS, COLUMNS.rstrip("\n")]
    for row in manifest("raster"):
        said = refused(FOLDER / row["file"], qom, catalog)
        lines.append(f"| `{Path(row['file']).name}` | {row['what']} | {said.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Schemas:
    """The contracts of the trial city."""
    if not FOLDER.is_dir():
        pytest.skip("the folder ../shared/data of real data is not here")
    return world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def trial_database(cluster: Cluster, everywhere: Schemas) -> Iterator[Database]:
    """A database of the trial city."""
    settings = Settings(home=cluster.home, city="world", database="template_world")
    migration.migrate(Database(settings), everywhere)
    with testing.clone(settings) as database:
        yield database


def test_the_document_says_what_makan_says(everywhere: Schemas) -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == table(everywhere)
    assert (len(manifest("vector")), len(manifest("raster"))) == (52, 20)


def test_none_gives_a_trace_or_is_loaded_as_if_it_were_good(
    everywhere: Schemas, trial_database: Database
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (FOLDER / "vector").iterdir()}
    for row in manifest("vector"):
        trial = Trial(FOLDER / row["file"], everywhere)
        checked, loaded = trial.said(), trial.said(trial_database)
        for line in loaded:
            assert "\n" not in line
            assert len(line) < 400
            assert str(FOLDER) not in line
        assert [_bare(line) for line in loaded] == [_bare(line) for line in checked], row["file"]
    assert {path: path.stat().st_mtime_ns for path in (FOLDER / "vector").iterdir()} == before
    with trial_database.connect("owner") as connection:
        statuses = connection.execute("SELECT DISTINCT status FROM ops.run ORDER BY 1").fetchall()
        assert [status for (status,) in statuses] == ["done", "failed", "refused"]
        left = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'stage'")
        assert left.fetchone() == (0,)


def _bare(line: str) -> str:
    """Without what depends on the files before."""
    return re.sub(r"\d+ came last time.*|at least.*", "", line)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        DOCUMENT.write_text(table(world(Path(made))), encoding="utf-8")
