"""Resubmit: corrected rows go through the same stages as any delivery, and close their entries.

A partial delivery with a ledger row of its own. If the process dies between the load and the
closing, the same command finishes the work: it finds the load standing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from psycopg import sql

from pipeline import text
from pipeline.contracts.registry import Schemas
from pipeline.db import ledger, queries
from pipeline.db.arrival import fingerprint
from pipeline.db.engine import Connection, Database
from pipeline.derive.columns import DATA
from pipeline.derive.keys import key_text
from pipeline.errors import ArrivalError, GuardError, SettingsError
from pipeline.report import origin as origins
from pipeline.report.aside import Aside, shapes
from pipeline.report.export import write_gpkg
from pipeline.report.origin import LINE, Origin, crs_of, returning
from pipeline.stages import container
from pipeline.stages import load as loading
from pipeline.stages.batch import Raw
from pipeline.stages.context import Context
from pipeline.stages.judge import Judged
from pipeline.stages.map import as_text
from pipeline.stages.outcome import Outcome, Progress
from pipeline.stages.passing import passing
from pipeline.stages.read import blank
from pipeline.stages.readers import open_dataset

_ROWS = 20_000


@dataclass(frozen=True)
class Resubmitted:
    """How a correction ended: its load, how many entries it closed, how many are still open."""

    of: int
    outcome: Outcome
    closed: int
    still_open: int


@dataclass
class _Trial:
    """The rows of the corrected file: own row number -> row they correct, and their keys."""

    corrects: dict[int, int] = field(default_factory=dict)
    good: set[int] = field(default_factory=set)
    keys: dict[int, str | None] = field(default_factory=dict)


def resubmit(
    database: Database, schemas: Schemas, number: int, path: Path, *, progress: Progress
) -> Resubmitted:
    """Loads ``path``, the corrected rows that run ``number`` had set aside; raises MakanError."""
    rows = database.settings.batch_rows
    with database.connect("loader") as connection:
        found = origins.origin(connection, schemas, number)
        _refuse(found)
        file = _with_geometry(connection, found, path, database.settings.home)
        context = returning(found.context, file)
        trial = _tried(file, context, rows)
        _refuse_strangers(connection, found, trial, path.name)
        standing = _standing(connection, found, file, context)
        if standing is None:
            _refuse_overtaken(connection, found, context)
            _refuse_taken(connection, found, trial, path.name)
    if standing is None:
        outcome = loading.load(database, file, context, batch_rows=rows, progress=progress)
        standing = outcome.run or 0
    else:
        outcome = _nothing_to_do(database, file, context, standing)
    with database.connect("loader") as connection:
        _settle(connection, found, standing, trial, path.name)
        return _counted(connection, number, standing, outcome)


def _refuse(found: Origin) -> None:
    if found.of is not None:
        raise SettingsError(
            f"run {found.run.id} corrects run {found.of} itself",
            todo=f"Run `makan resubmit {found.of} FILE`.",
        )
    if found.run.status != "done":
        raise GuardError(
            f"run {found.run.id} is {found.run.status}: its rows are not part of what is published",
            todo="Load the file again, and correct what that run sets aside.",
        )


def _tried(path: Path, context: Context, batch_rows: int) -> _Trial:
    """Judges the file once without writing, to know what it would do."""
    trial = _Trial()

    def take(raw: Raw, judged: Judged) -> None:
        written = text.ascii_digits(as_text(raw.columns.column(LINE).combine_chunks()))
        for line, said in zip(raw.lines.tolist(), written.to_pylist(), strict=True):
            trial.corrects[line] = _number(said, line, path.name)
        trial.good.update(raw.lines[judged.good].tolist())

    with passing(path, context, batch_rows) as (work, _):
        if LINE not in work.source.names:
            raise ArrivalError(
                f"has no column {LINE}",
                where=path.name,
                todo="It tells which row is corrected: keep the columns of `makan quarantine`.",
            )
        work.run(take, lambda *_: None)
        trial.good.difference_update(work.keys.doubled().line)
        trial.keys = work.keys.of(np.array(sorted(trial.good), dtype=np.int64))
    return trial


def _number(said: str | None, line: int, where: str) -> int:
    shown = (said or "").strip()
    if not shown.isdigit():
        raise ArrivalError(
            f"row {line} does not say which row it corrects ({LINE} = {shown or 'nothing'})",
            where=where,
            todo="Give the number it had in `makan quarantine`, or take the row out.",
        )
    return int(shown)


def _refuse_strangers(connection: Connection, found: Origin, trial: _Trial, where: str) -> None:
    query = queries.load("report")["lines"]
    known = {row[0] for row in connection.execute(query, {"run": found.run.id}).fetchall()}
    strange = sorted(set(trial.corrects.values()) - known)
    if strange:
        raise GuardError(
            f"row {', '.join(map(str, strange[:8]))} was not set aside by run {found.run.id}",
            where=where,
            todo="Nothing was published. Is it the file of another run?",
        )


def _standing(connection: Connection, found: Origin, file: Path, context: Context) -> int | None:
    values = {
        "run": found.run.id,
        "feed": context.feed.id,
        "layer": context.layer.id,
        "sha256": fingerprint(file).sha256,
        "contract": context.contract_digest,
    }
    row = connection.execute(queries.load("report")["standing"], values).fetchone()
    return int(str(row[0])) if row and row[0] is not None else None


def _refuse_overtaken(connection: Connection, found: Origin, context: Context) -> None:
    """A full delivery that came later is the truth now; partial ones live side by side."""
    if found.context.feed.delivery != "full":
        return
    values = {"run": found.run.id, "contract": context.contract_digest}
    row = connection.execute(queries.load("report")["overtaken"], values).fetchone()
    if row and row[0] is not None:
        raise GuardError(
            f"run {row[0]} of the same feed has come after run {found.run.id}",
            todo=f"Nothing was published. Correct what that run sets aside "
            f"(`makan quarantine {row[0]}`).",
        )


def _refuse_taken(connection: Connection, found: Origin, trial: _Trial, where: str) -> None:
    """A correction must not replace a row that arrived whole: the key is mistyped, or doubled."""
    layer = found.context.layer
    query = sql.SQL(queries.load("report")["taken_keys"]).format(
        target=sql.Identifier(DATA, layer.id), key_text=key_text(layer, "t")
    )
    keys = [key for key in trial.keys.values() if key is not None]
    taken = connection.execute(query, {"run": found.run.id, "keys": keys}).fetchall()
    if not taken:
        return
    key, row, run = taken[0]
    line = next(line for line, one in trial.keys.items() if one == key)
    more = f", and {len(taken) - 1} more" if len(taken) > 1 else ""
    raise GuardError(
        f"row {trial.corrects[line]} now has the key {key}, under which row {row} of run {run} "
        f"is published{more}",
        where=where,
        todo="Nothing was published. Correct the key, or take the row out.",
    )


def _with_geometry(connection: Connection, found: Origin, path: Path, home: Path) -> Path:
    """A workbook holds no geometry: each row gets the one that it arrived with.

    The whole is kept below ``home``, since it is what is loaded and what the ledger names.
    """
    spatial = found.context.layer.geometry is not None and not found.context.feed.source.points
    if path.suffix.lower() != ".xlsx" or not spatial:
        return path
    digest = fingerprint(path).sha256
    made = home / "resubmitted" / f"run{found.run.id}-{path.stem}-{digest[:12]}.gpkg"
    if made.exists():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    context = returning(found.context, path)
    table = _sheet(path, context.feed.source.sheet)
    lines = _lines_of(table, path.name)
    drawn = shapes([Aside(line, None, (), {}, wkb, None) for line, wkb in zip(
        lines, _raw_shapes(connection, found, lines), strict=True)])  # fmt: skip
    part = made.with_suffix(".part.gpkg")
    part.unlink(missing_ok=True)
    write_gpkg(part, table, drawn, crs_of(found))
    part.rename(made)
    return made


def _sheet(path: Path, sheet: str | None) -> pa.Table:
    with container.opened(path) as arrival:
        dataset = open_dataset(arrival)
        layer = dataset.layer(sheet or dataset.sheets[0], None)
        table = pa.concat_tables(list(layer.tables(_ROWS)))
        return table.filter(pa.array(~blank(table)))


def _lines_of(table: pa.Table, where: str) -> list[int]:
    if LINE not in table.schema.names:
        raise ArrivalError(
            f"has no column {LINE}", where=where, todo="Keep the columns of `makan quarantine`."
        )
    written = text.ascii_digits(as_text(table.column(LINE).combine_chunks())).to_pylist()
    return [_number(said, line, where) for line, said in enumerate(written, start=1)]


def _raw_shapes(connection: Connection, found: Origin, lines: list[int]) -> list[bytes | None]:
    values = {"run": found.run.id, "lines": lines}
    rows: list[tuple[Any, ...]] = connection.execute(
        queries.load("report")["raw_shapes"], values
    ).fetchall()
    known = {line: None if wkb is None else bytes(wkb) for line, wkb in rows}
    return [known.get(line) for line in lines]


def _nothing_to_do(database: Database, file: Path, context: Context, standing: int) -> Outcome:
    """The ledger keeps that the same file came again."""
    message = f"the same file as in run {standing}"
    arrival = fingerprint(file)
    with database.connect("loader") as connection:
        run = ledger.start(
            connection, arrival, kind="load", layer=context.layer.id,
            contract=context.contract_digest, feed=context.feed.id,
        )  # fmt: skip
        ledger.finish(connection, run, "unchanged", message=message)
    return Outcome(
        context.feed.id, context.layer.id, str(file), "unchanged", ledger.Account(),
        run=run, message=message,
    )  # fmt: skip


def _settle(connection: Connection, found: Origin, run: int, trial: _Trial, name: str) -> None:
    """Closes what is published now; what is still wrong keeps open, with its new reasons."""
    named, of = queries.load("report"), found.run.id
    message = f"corrects run {of} ({name})"
    connection.execute(named["mark_resubmission"], {"run": run, "of": of, "message": message})
    wrong: dict[int, list[str]] = {}
    for line, reasons in connection.execute(named["still_wrong"], {"run": run}).fetchall():
        wrong.setdefault(trial.corrects[int(str(line))], []).extend(reasons)  # type: ignore[arg-type]
    lines = sorted(set(trial.corrects.values()) - wrong.keys())
    connection.execute(named["close"], {"run": run, "of": of, "lines": lines})
    for line, reasons in wrong.items():
        values = {"of": of, "line": line, "reasons": list(dict.fromkeys(reasons))}
        connection.execute(named["new_reasons"], values)


def _counted(connection: Connection, number: int, run: int, outcome: Outcome) -> Resubmitted:
    named = queries.load("report")
    row = connection.execute(named["closed_by"], {"run": run}).fetchone()
    left = connection.execute(named["open_by_run"], {"runs": [number]}).fetchone()
    return Resubmitted(
        number, outcome, int(str(row[0])) if row else 0, int(str(left[1])) if left else 0
    )
