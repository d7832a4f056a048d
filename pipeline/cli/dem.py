"""``makan dem``: elevation models from surveyed heights, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import orjson
import pyogrio.raw
import shapely

from pipeline.cli import options, progress
from pipeline.cli.dem_source import Source, Wanted
from pipeline.cli.options import as_json
from pipeline.contracts.raster import RasterContract
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.db.sources import Model
from pipeline.errors import SettingsError
from pipeline.findings import Catalog
from pipeline.rasters import cog, disk
from pipeline.rasters.deliver import deliver
from pipeline.rasters.inspect import Job
from pipeline.rasters.publish import publish
from pipeline.rasters.shelf import Shelf
from pipeline.serve import running
from pipeline.settings import Settings
from pipeline.spread import executor as executors
from pipeline.spread import store
from pipeline.spread.executor import Local
from pipeline.terrain import derived, parcels, products
from pipeline.terrain.build import Built, Plan, build
from pipeline.terrain.tasks import Spread

_FILE = click.Path(path_type=Path)


def _spread(command: Any) -> Any:
    """Where tiles are made."""
    for option in (
        click.option(
            "--work", help="Folder (path or address) that all workers reach; kept afterwards."
        ),
        click.option(
            "--executor", default="local:1", show_default=True,
            help="local (all processors), local:4 or dask://HOST:PORT.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@contextmanager
def _spreading(given: dict[str, Any]) -> Iterator[tuple[Spread, str | None]]:
    """The executor that is asked for, its progress told where there are several processes."""
    work: str | None = given["work"]
    if work is not None and not store.is_address(work):
        with disk.writing(Path(work) / "tile"):
            Path(work).mkdir(parents=True, exist_ok=True)
    runner = executors.of(given["executor"])
    if runner == Local(1):
        yield Spread(runner), work
        return
    with progress.stages() as watching:
        yield Spread(runner, watching), work


@click.group()
def dem() -> None:
    """Make an elevation model from contours and spot heights; derive from one."""


@dem.command("build")
@click.option("--loaded", is_flag=True, help="Contours, spots, breaklines that `makan load` took.")
@click.option("--contours", type=_FILE, help="Lines with a height column or z coordinates.")
@click.option("--spots", type=_FILE, help="Points with heights; a CSV with x, y and z will do.")
@click.option("--breaklines", type=_FILE, help="Lines across which the ground may bend.")
@click.option("--column", help="The height column, where it is called unusually.")
@click.option(
    "--cell", type=float, help="Cell size in metres; with --loaded that of the last model."
)
@click.option("--crs", help="The CRS of files that name none: EPSG:n.")
@click.option("--date", "acquired", help="When it was surveyed: YYYY-MM-DD.")
@click.option("--no-validation", is_flag=True, help="Do not build first without a fifth of spots.")
@click.option("--anew", is_flag=True, help="With --loaded: also when nothing has changed.")
@click.option("--out", type=_FILE, help="Write a COG there and load nothing; needs no database.")
@click.option("--report", type=_FILE, help="Write the report as JSON there.")
@_spread
@as_json
@click.pass_obj
def build_model(settings: Settings, /, as_json: bool, **given: Any) -> None:
    """Make a surface of surveyed heights, validate it with spots kept back, load and serve it.

    Of the loaded layers only when they have changed since the model in force was made of them.
    """
    schemas = options.schemas(settings)
    wanted = Wanted.of(settings, schemas, _contract(schemas), given)
    if wanted.standing is not None and wanted.stands and _completed(settings, wanted):
        report = _unchanged(wanted.standing)
    else:
        report = _made(settings, wanted)
    if given["report"]:
        with disk.writing(given["report"]):
            disk.write_text(given["report"], orjson.dumps(report, option=_INDENT).decode())
    _answer(report, as_json)


def _made(settings: Settings, wanted: Wanted) -> dict[str, Any]:
    """Makes the model, and loads it or writes it to --out; the report."""
    given, contract, city = wanted.given, wanted.contract, wanted.schemas.city
    source = wanted.source(settings)
    out: Path | None = given["out"]
    folder = out.parent if out else settings.home / "rasters" / contract.id
    with disk.writing(folder / "work"):
        folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(dir=folder, prefix=".work-") as work,
        _spreading(given) as (spread, shared),
    ):
        target = Path(work) / f"{source.sheet}.tif"
        validate = not given["no_validation"]
        plan = Plan(target, contract, city, wanted.cell, validate, shared, spread)
        built = build(source.survey, plan)
        if out:
            made = cog.write(target, Path(work) / "cog.tif", contract.encoding)
            disk.publish(made.path, out)
            where = str(out)
        else:
            job = Job(built.path, contract, city, wanted.declared, source.made_of)
            where = _load(settings, wanted.schemas, job)
    return _report(source, built, where)


def _completed(settings: Settings, wanted: Wanted) -> bool:
    """Whether the model in force is there; then it is served and parcels follow it, also where the
    command that made it was stopped before."""
    shelf, model = Shelf(settings.home, wanted.contract.id), wanted.standing
    if model is None or not shelf.absolute(model.path).is_file():
        return False
    city, database = wanted.schemas.city, Database(settings)
    before = shelf.served()
    served = publish(database, settings.home, wanted.contract, city, model.run)
    if served is None:
        return False
    if parcels.follow(database, wanted.schemas, settings.home, served) is None:
        parcels.refresh(database, wanted.schemas, settings.home / served.path)
    if before is None or before.version != served.version:
        running.tell(settings.home)
    return True


def _unchanged(model: Model) -> dict[str, Any]:
    return {
        "status": "unchanged",
        "from": list(model.layers),
        "where": model.path,
        "run": model.run,
        "cell": round(model.cell_m, 6),
    }


_INDENT = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY


def _contract(schemas: Schemas) -> RasterContract:
    """The raster layer of heights."""
    found = [contract for contract in schemas.rasters.values() if contract.is_terrain]
    if not found:
        raise SettingsError("no raster of schemas/rasters holds heights")
    return found[0]


def _load(settings: Settings, schemas: Schemas, job: Job) -> str:
    outcomes, served = deliver(Database(settings), settings.home, schemas, [job])
    if served is None:
        catalog = Catalog.load()
        told = "; ".join(catalog.message(finding) for finding in outcomes[0].findings)
        raise SettingsError(f"the model that was made is refused: {told}")
    parcels.refresh(Database(settings), schemas, settings.home / served.path)
    running.tell(settings.home)
    return str(outcomes[0].path)


@dem.command("parcels")
@click.pass_obj
def refresh_parcels(settings: Settings) -> None:
    """Work out heights and slope of every parcel anew, from the model that is served."""
    schemas = options.schemas(settings)
    served = Shelf(settings.home, _contract(schemas).id).served()
    if served is None:
        raise SettingsError("no elevation model is served", todo="`makan dem build` makes one.")
    count = parcels.refresh(Database(settings), schemas, settings.home / served.path)
    running.tell(settings.home)
    options.out(f"heights and slope of {count:,} parcels")


def _report(source: Source, built: Built, where: str) -> dict[str, Any]:
    catalog = Catalog.load()
    return {
        "status": "made",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "from": source.names,
        "where": where,
        **built.summary(),
        "findings": [
            {
                "code": finding.code,
                "severity": catalog.severity(finding.code),
                "message": catalog.message(finding),
                "message_fa": catalog.message(finding, "fa"),
                "place": finding.geometry.wkt if finding.geometry else None,
            }
            for finding in (*source.findings, *built.findings)
        ],
    }


def _answer(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        options.emit(report)
        return
    if report["status"] == "unchanged":
        layers = ", ".join(report["from"])
        options.out(f"nothing has changed in {layers} since run {report['run']}: it stands")
        return
    size = f"{report['columns']:,} x {report['rows']:,} cells"
    options.out(f"{report['where']}: {size}, {report['lowest_m']} to {report['highest_m']} m")
    options.out(f"  heights above {report['heights_above']}")
    held = report["hold_out"]
    if held:
        told = f"{held['rmse_m']:.3f} m, largest {held['largest_m']:.2f} m"
        options.out(f"  {held['spots']} spots kept back: RMSE {told}")
    flat = f"{100 * report['flat_share']:.2f} % flat"
    seams = f"tiles agree to {1000 * report['tile_seams_rms_m']:.1f} mm"
    options.out(f"  {flat}, terracing {report['terracing']:.2f} (1 is none), {seams}")
    for finding in report["findings"]:
        options.out(f"  {finding['severity']:<7} {finding['code']}: {finding['message']}")


@dem.command("derive")
@click.argument("product", type=click.Choice(sorted([*derived.PRODUCTS, "contours"])))
@click.argument("source")
@click.option("--out", required=True, type=_FILE, help="A .tif, or a .gpkg for contours.")
@click.option("--interval", type=float, help="Of contours, in metres.")
@click.option("--exaggerate", type=click.FloatRange(0.1, 100), default=1.0, show_default=True,
              help="A hillshade as if the ground were so much steeper.")  # fmt: skip
@_spread
def derive(product: str, source: str, out: Path, interval: float | None, **given: Any) -> None:
    """Make PRODUCT of the elevation model SOURCE (path or address): a COG, or contours as a
    GeoPackage."""
    steeper = given["exaggerate"]
    if steeper != 1.0 and product != "hillshade":
        raise SettingsError(f"{product} tells the ground as it is", todo="Leave --exaggerate out.")
    if product != "contours":
        with _spreading(given) as (spread, work):
            made = products.derive(source, out, product, spread, work, steeper)
        options.out(f"{out}: {made.width:,} x {made.height:,} pixels, {made.size / 1e6:.1f} MB")
        return
    if not interval or interval <= 0:
        raise SettingsError("contours need an interval", todo="Give it in metres: --interval 5.")
    with _spreading(given) as (spread, work):
        shapes, levels, crs = products.contours(source, interval, out, spread, work)
    with disk.writing(out):
        pyogrio.raw.write(
            out,
            np.asarray(shapely.to_wkb(shapes), dtype=object),
            [levels],
            ["elevation"],
            geometry_type="LineString",
            crs=crs.to_wkt(),
            driver="GPKG",
            layer="contours",
        )
    options.out(f"{out}: {len(shapes):,} contours every {interval:g} m")
