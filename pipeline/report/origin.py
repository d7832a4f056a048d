"""Origin: the feed and the file of a run, as far as they can still be had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pyproj import CRS

from pipeline import geo
from pipeline.contracts.feed import Feed, FeedLimits
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger, queries
from pipeline.db.arrival import fingerprint
from pipeline.db.engine import Connection
from pipeline.db.ledger import Run
from pipeline.errors import ArrivalError, MakanError, SettingsError
from pipeline.stages import container
from pipeline.stages.agree import meant_crs
from pipeline.stages.context import Context
from pipeline.stages.load import context_for
from pipeline.stages.passing import passing
from pipeline.stages.read import Source
from pipeline.stages.readers import open_dataset

# The columns that an export adds to the source's own.
LINE, REASONS, FA, EN = "makan_line", "makan_reasons", "makan_fa", "makan_en"
# A GeoPackage's row number; QGIS makes a column of it when it saves a layer as another.
FID = "makan_fid"
RESERVED = (LINE, REASONS, FA, EN, FID)
SHEET = "quarantine"
DRIVERS = {".gpkg": "GPKG", ".xlsx": "XLSX"}
_BATCH = 20_000


@dataclass(frozen=True)
class Origin:
    """A run with the context it was judged in; ``of`` is the run it corrects, if it does."""

    run: Run
    context: Context
    of: int | None

    @property
    def path(self) -> Path:
        """Where the file was when it was loaded."""
        return Path(self.run.file)


def origin(connection: Connection, schemas: Schemas, number: int) -> Origin:
    """The run ``number`` of vector rows; SettingsError for others."""
    run = ledger.run(connection, number)
    if run.kind != "load" or run.feed is None:
        raise SettingsError(
            f"run {number} is a {run.kind} of {run.layer}, not of a feed's rows",
            todo="`makan runs` lists them.",
        )
    row = connection.execute(queries.load("report")["resubmits"], {"run": number}).fetchone()
    of = int(str(row[0])) if row and row[0] is not None else None
    context = context_for(schemas, run.feed)
    path = Path(run.file)
    if of is not None and path.suffix.lower() in DRIVERS:
        context = replace(context, feed=_returned(context.feed, path, sheet=SHEET, crs=None))
    return Origin(run, context, of)


def returning(context: Context, path: Path) -> Context:
    """The context for ``path``, which brings rows of the feed back as ``export`` has written them.

    A part of a delivery: nothing is removed. A GeoPackage names its CRS; one that does not is in
    the feed's.
    """
    if path.suffix.lower() not in DRIVERS:
        raise ArrivalError(
            f"{path.suffix or 'such'} files cannot come back",
            where=path.name,
            todo="Give the GPKG or XLSX that `makan quarantine` has written, corrected.",
        )
    with container.opened(path) as arrival:
        dataset = open_dataset(arrival)
        sheets = dataset.sheets
        sheet = SHEET if SHEET in sheets else None
        said = None
        if len(sheets) == 1 or sheet:
            said = dataset.layer(sheet or sheets[0], None).crs_of(None)
    crs = None if meant_crs(said) else context.feed.source.crs
    # What is personal was never set aside with the row, so it does not come back with it.
    feed = context.feed.model_copy(update={"columns": context.columns})
    returned = _returned(feed, path, sheet=sheet, crs=crs)
    return replace(context, feed=returned, corrects=True)


def _returned(feed: Feed, path: Path, *, sheet: str | None, crs: str | None) -> Feed:
    source = feed.source.model_copy(
        update={
            "driver": DRIVERS[path.suffix.lower()],
            "sheet": sheet,
            "header": 1,
            "encoding": None,
            "crs": crs,
        }
    )
    return feed.model_copy(
        update={
            "source": source,
            "cad": None,
            "delivery": "partial",
            "limits": FeedLimits(min_rows=1, max_drop_share=1.0),
            "ignore": (*feed.ignore, *RESERVED),
        }
    )


@contextmanager
def reread(found: Origin) -> Iterator[Source | None]:
    """The file of the run, if it still is where it was and what it was; None otherwise."""
    try:
        same = fingerprint(found.path).sha256 == found.run.file_sha256
    except MakanError:
        same = False
    if not same:
        yield None
        return
    with passing(found.path, found.context, _BATCH) as (work, _):
        yield work.source


def crs_of(found: Origin) -> CRS | None:
    """The CRS that the run's coordinates arrived in: declared, or as the file itself says."""
    declared = found.context.feed.source.crs
    if declared:
        return geo.parse_crs(declared)
    try:
        with reread(found) as source:
            return source.crs if source else None
    except MakanError:
        return None
