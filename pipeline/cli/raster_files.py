"""Files that a person names as rasters, and what is declared of them."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from pyproj import CRS

from pipeline.cli.options import as_json
from pipeline.contracts.registry import Schemas
from pipeline.errors import SettingsError
from pipeline.geo import parse_crs
from pipeline.rasters.inspect import Declared, Job


def declarations(command: Any) -> Any:
    """The arguments that check and load share."""
    for option in (
        as_json,
        click.option("--nodata", type=float, help="The value of pixels without one."),
        click.option("--date", "acquired", help="When it was flown or measured: YYYY-MM-DD."),
        click.option("--crs", help="The CRS of files that name none: EPSG:n."),
        click.option("--as", "layer", required=True, help="Which raster of schemas/rasters it is."),
        click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


def jobs(
    schemas: Schemas,
    files: tuple[Path, ...],
    layer: str,
    crs: str | None,
    acquired: str | None,
    nodata: float | None,
) -> list[Job]:
    """Each file as a sheet of ``layer``; SettingsError where two would be the same one."""
    declared = Declared(declared_crs(crs), declared_date(acquired), nodata)
    contract = schemas.raster(layer)
    made = [Job(path, contract, schemas.city, declared) for path in files]
    sheets = [job.subject.sheet for job in made]
    doubled = {sheet for sheet in sheets if sheets.count(sheet) > 1}
    if doubled:
        raise SettingsError(
            f"two files would be the sheet {', '.join(sorted(doubled))}",
            todo="A sheet is called after its file; rename one of them.",
        )
    return made


def declared_crs(text: str | None) -> CRS | None:
    """What --crs names, None where it is not given; raises SettingsError where it names no CRS."""
    if text is None:
        return None
    found = parse_crs(text)
    if found is None:
        raise SettingsError(f"--crs {text!r} names no CRS", todo="Give it as EPSG:32639.")
    return found


def declared_date(text: str | None) -> date | None:
    """The day that --date names, None where it is not given; raises SettingsError for another."""
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day, not an instant
    except ValueError:
        raise SettingsError(
            f"--date {text!r} is no day", todo="Give it as YYYY-MM-DD, such as 2024-05-31."
        ) from None
