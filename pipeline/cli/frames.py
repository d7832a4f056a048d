"""``makan frames``: aerial frames with orientation, checked, published, made an orthophoto."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import orjson
import pyogrio.raw
import shapely

from pipeline import geo
from pipeline.cli import frames_report, options, progress, triangulate
from pipeline.cli.options import as_json
from pipeline.cli.raster_files import declared_crs, declared_date
from pipeline.contracts.raster import RasterContract, ServedRaster
from pipeline.contracts.registry import Schemas
from pipeline.db.arrival import fingerprint
from pipeline.db.engine import Database
from pipeline.errors import ArrivalError, GuardError, SettingsError
from pipeline.findings import Catalog, Finding
from pipeline.photogrammetry import camera, ground, orientation, produce, rows
from pipeline.photogrammetry import store as tables
from pipeline.photogrammetry.block import Block, Sources, study
from pipeline.photogrammetry.produce import Product, Wanted
from pipeline.rasters import cog, disk
from pipeline.rasters.deliver import deliver
from pipeline.rasters.inspect import Declared, Job
from pipeline.rasters.shelf import Shelf
from pipeline.serve import running
from pipeline.settings import Settings
from pipeline.spread import executor as executors
from pipeline.spread import once, store

_FILE = click.Path(path_type=Path)
Command = Callable[..., Any]


@click.group()
def frames() -> None:
    """Check and publish aerial frames, and make an orthophoto of them."""


frames.add_command(triangulate.adjust)
frames.add_command(triangulate.triangulated)


def _block_options(command: Command) -> Command:
    """What all three commands need to know of a block."""
    for option in (
        as_json,
        click.option("--report", type=_FILE, help="Write the report as JSON there."),
        click.option("--area", type=_FILE, help="Polygons that the frames should cover."),
        click.option("--dem", "model", help="The ground; the served model if left out."),
        click.option("--date", "flown", help="When it was flown: YYYY-MM-DD."),
        click.option("--crs", help="The CRS of the positions, if the file names none."),
        click.option("--angles", type=click.Choice(["deg", "grad", "rad"]), help="Their unit."),
        click.option("--camera", "cameras", type=_FILE, required=True, help="The camera, YAML."),
        click.option("--eo", type=_FILE, required=True, help="Exterior orientation."),
        click.option("--block", "name", help="The block's name; the folder's if left out."),
        click.argument("folder"),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class _Given:
    """The options of a command, read."""

    settings: Settings
    schemas: Schemas
    sources: Sources
    model: str
    area: shapely.Geometry | None
    flown: date | None
    eo: Path
    report: Path | None
    as_json: bool


@frames.command()
@_block_options
@click.pass_obj
def check(settings: Settings, /, **given: Any) -> None:
    """Tell what the frames of FOLDER show and what is wrong; write nothing, need no database."""
    wanted = _read(settings, given)
    block = _study(wanted)
    _answer(wanted, frames_report.of_block(block, Catalog.load()))
    _refuse_errors(block)


@frames.command()
@_block_options
@click.pass_obj
def load(settings: Settings, /, **given: Any) -> None:
    """Publish frames, strips, the block and its gaps, with footprints on the terrain."""
    wanted = _read(settings, given)
    block = _study(wanted)
    report = frames_report.of_block(block, Catalog.load())
    if not _errors(block):
        found = fingerprint(wanted.eo)
        run = tables.save(Database(settings), wanted.schemas, block, found, wanted.flown)
        report["run"] = run
    _answer(wanted, report)
    _refuse_errors(block)


@frames.command()
@_block_options
@click.option("--gsd", type=float, help="Cells of the orthophoto in metres; the frames' own.")
@click.option("--executor", default="local", help="local, local:4 or dask://HOST:PORT.")
@click.option("--jobs", type=int, default=0, help="Frames at once; as many as processors.")
@click.option("--work", help="Folder (path or address) that all workers reach; kept afterwards.")
@click.option("--out", type=_FILE, help="Write a COG there and load nothing; needs no database.")
@click.pass_obj
def ortho(settings: Settings, /, **given: Any) -> None:
    """Rectify the frames of FOLDER on the terrain, join them to one orthophoto and serve it.

    Interrupted, it goes on where it was when the same command is given again.
    """
    wanted = _read(settings, given)
    runner = executors.of(given["executor"], given["jobs"])
    block = _study(wanted)
    _refuse_errors(block)
    contract = _imagery(wanted.schemas)
    out: Path | None = given["out"]
    folder = out.parent if out else settings.home / "rasters" / contract.id
    with disk.writing(folder / "work"):
        folder.mkdir(parents=True, exist_ok=True)
    work = given["work"] or str(folder / f".frames-{once.digest(block.name, str(out))}")
    with TemporaryDirectory(dir=folder, prefix=".work-") as scratch, progress.stages() as watching:
        plan = Wanted(
            Path(scratch), store.of_path(work), contract, wanted.schemas.city, wanted.model,
            given["gsd"], {"ACQUIRED": str(wanted.flown or "")}, runner, watching,
        )  # fmt: skip
        product = produce.produce(block, plan)
        report = frames_report.of_block(block, Catalog.load()) | frames_report.of_product(product)
        report["where"] = _kept(wanted, contract, product, out)
    if not given["work"]:
        store.remove(plan.work)
    _answer(wanted, report)


def _kept(given: _Given, contract: RasterContract, product: Product, out: Path | None) -> str:
    """Where the orthophoto is at last: loaded and served, or in the file ``out``."""
    if out is None:
        return _deliver(given, contract, product)
    made = cog.write(product.path, product.path.parent / "cog.tif", contract.encoding)
    disk.publish(made.path, out)
    return str(out)


def _read(settings: Settings, given: dict[str, Any]) -> _Given:
    schemas = options.schemas(settings)
    folder = store.of_path(given["folder"])
    eo = orientation.read(given["eo"], given["angles"], declared_crs(given["crs"]))
    name = given["name"] or folder.rstrip("/").rsplit("/", 1)[-1]
    sources = Sources(
        name, eo, camera.read(given["cameras"]), folder, schemas.city, eo.crs or schemas.city.crs
    )
    area = _area(given["area"], schemas) if given["area"] else None
    model = store.of_path(given["model"] or _served(settings, schemas))
    flown = declared_date(given["flown"])
    return _Given(
        settings, schemas, sources, model, area, flown, given["eo"], given["report"],
        given["as_json"],
    )  # fmt: skip


def _served(settings: Settings, schemas: Schemas) -> Path:
    """The elevation model that is served."""
    for contract in schemas.rasters.values():
        if contract.is_terrain:
            found: ServedRaster | None = Shelf(settings.home, contract.id).served()
            if found:
                return settings.home / found.path
    raise SettingsError(
        "no elevation model is served, and --dem is not given",
        todo="Give --dem FILE, or load one with `makan dem build` or `makan raster load`.",
    )


def _imagery(schemas: Schemas) -> RasterContract:
    found = [contract for contract in schemas.rasters.values() if len(contract.bands) == 3]
    if not found:
        raise SettingsError("no raster of schemas/rasters holds colours")
    return found[0]


def _area(path: Path, schemas: Schemas) -> shapely.Geometry:
    """The union of a file's polygons, in the city's CRS."""
    try:
        meta, _, wkb, _ = pyogrio.raw.read(path, columns=[])
    except (RuntimeError, ValueError, OSError) as error:
        raise ArrivalError(f"cannot be read: {error}", where=str(path)) from None
    crs = geo.parse_crs(meta["crs"] or "")
    if crs is None or wkb is None:
        raise ArrivalError("names no CRS or holds no polygon", where=path.name)
    shapes = geo.reproject(shapely.from_wkb(wkb), crs, schemas.city.crs)
    return shapely.union_all(shapely.make_valid(shapes))


def _study(given: _Given) -> Block:
    with ground.opened(store.local(given.model)) as below:
        return study(given.sources, below, given.area)


def _errors(block: Block) -> list[Finding]:
    catalog = Catalog.load()
    return [finding for finding in block.findings if catalog.severity(finding.code) == "error"]


def _refuse_errors(block: Block) -> None:
    faults = _errors(block)
    if faults:
        told = Catalog.load().message(faults[0])
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise GuardError(f"the block {block.name} is refused: {told}{more}")


def _deliver(given: _Given, contract: RasterContract, product: Product) -> str:
    database = Database(given.settings)
    declared = Declared(acquired=given.flown)
    job = Job(product.path, contract, given.schemas.city, declared)
    outcomes, served = deliver(database, given.settings.home, given.schemas, [job])
    if served is None:
        catalog = Catalog.load()
        raise GuardError("; ".join(catalog.message(found) for found in outcomes[0].findings))
    found = rows.seams(
        given.sources.name, product.pieces, product.seams, product.balance.gain, given.flown
    )
    name, eo = given.sources.name, fingerprint(given.eo)
    tables.save_seams(database, given.schemas, name, found, eo)
    running.tell(given.settings.home)
    return str(outcomes[0].path)


def _answer(given: _Given, report: dict[str, Any]) -> None:
    if given.report:
        with disk.writing(given.report):
            text = orjson.dumps(report, option=orjson.OPT_INDENT_2, default=str).decode()
            disk.write_text(given.report, text)
    if given.as_json:
        options.emit(report)
        return
    for line in frames_report.lines(report):
        options.out(line)
