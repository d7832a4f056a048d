"""``makan load`` and ``makan check``: files through the stages, with progress and the account."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import click

from pipeline.cli import options
from pipeline.cli.folder import matching
from pipeline.cli.fresh import keep_fresh
from pipeline.cli.options import as_json
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.errors import DatabaseError, MakanError, SettingsError
from pipeline.findings import Catalog
from pipeline.settings import Settings
from pipeline.stages import load as loading
from pipeline.stages.context import ACCEPTABLE, Context
from pipeline.stages.outcome import Outcome
from pipeline.stages.outcome import Progress as Watch

_FILES = click.Path(path_type=Path)


class Lines(Protocol):
    """What is shown while files are on their way."""

    def watch(self, title: str) -> Watch:
        """A callback that moves a new line."""

    def print(self, text: str) -> None:
        """The account of one file, for people."""


@click.command()
@click.argument("feed", required=False)
@click.argument("paths", nargs=-1, type=_FILES)
@click.option(
    "--all", "folder", type=_FILES, help="Load every file of this folder that a feed matches."
)
@click.option(
    "--derive/--no-derive", "derived", default=True, help="Keep the facts fresh that this touches."
)
@click.option(
    "--accept",
    multiple=True,
    type=click.Choice(ACCEPTABLE),
    help="Load although this differs too much from the last delivery; the ledger keeps it.",
)
@click.option(
    "--valid-from",
    callback=options.moment,
    metavar="DATE",
    help="From when what the files say holds: 2024-03-20 or 1403/01/01; else from now.",
)
@click.option(
    "--renumber",
    is_flag=True,
    help="What lies exactly where an object lay is that object, under its new code.",
)
@as_json
@click.pass_obj
def load(
    settings: Settings,
    /,
    feed: str | None,
    paths: tuple[Path, ...],
    folder: Path | None,
    derived: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Load FILES of a FEED: read, map, clean, check, stage, merge; wholly or not at all."""
    schemas = options.schemas(settings)
    database = Database(settings)
    work = _work(schemas, feed, paths, folder)
    outcomes, refused = [], None
    with _progress() as bar:
        for name, path in work:
            try:
                context = _context(schemas, name, **how)
                outcome = loading.load(
                    database, path, context, batch_rows=settings.batch_rows,
                    progress=bar.watch(f"{name}: {path.name}"),
                )  # fmt: skip
            except MakanError as error:
                if folder is None:
                    raise
                refused = error
                if _is_away(database, error):
                    # Nothing that is left can be loaded, nor derived: it is said once, at the end.
                    derived = False
                    break
                options.console().print(f"{name}: {error}", markup=False, soft_wrap=True)
                continue
            outcomes.append(outcome)
            if not as_json:
                bar.print(_told(outcome))
    changed = {one.layer for one in outcomes if one.status == "done"}
    if changed and derived:
        keep_fresh(settings, schemas, changed, first=folder is not None)
    _end(outcomes, as_json=as_json, refused=refused)


@click.command()
@click.argument("feed")
@click.argument("paths", nargs=-1, required=True, type=_FILES)
@as_json
@click.pass_obj
def check(settings: Settings, feed: str, paths: tuple[Path, ...], as_json: bool) -> None:
    """Do all that load does except write: needs no database, but compares with one that runs."""
    from pipeline.stages.reference import reachable

    schemas = options.schemas(settings)
    outcomes = []
    with _progress() as bar, reachable(Database(settings), schemas) as known:
        for path in paths:
            context = loading.context_for(schemas, feed)
            outcome = loading.check(
                path, context, batch_rows=settings.batch_rows,
                progress=bar.watch(f"{feed}: {path.name}"), known=known,
            )  # fmt: skip
            outcomes.append(outcome)
            if not as_json:
                bar.print(_told(outcome))
    _end(outcomes, as_json=as_json, refused=None)


def _is_away(database: Database, error: MakanError) -> bool:
    """Whether it was the database's end that ended a load, not the file or another load."""
    if not isinstance(error, DatabaseError):
        return False
    try:
        with database.connect("loader"):
            return False
    except DatabaseError:
        return True


def _context(
    schemas: Schemas,
    feed: str,
    accept: tuple[str, ...],
    valid_from: datetime | None,
    renumber: bool,
) -> Context:
    """The context of a load as its options have it."""
    return loading.context_for(
        schemas, feed, accept=frozenset(accept), valid_from=valid_from, renumber=renumber
    )


def _work(
    schemas: Schemas, feed: str | None, paths: tuple[Path, ...], folder: Path | None
) -> list[tuple[str, Path]]:
    """What to load in which order: pairs of feed and file."""
    if folder is not None:
        if feed:
            raise SettingsError("--all takes no feed", todo="Leave the feed out.")
        found = matching(schemas, folder)
        if left := found.told(folder):
            options.console().print(left, markup=False, soft_wrap=True)
        return found.work
    if feed is None or not paths:
        raise SettingsError(
            "nothing to load", todo="Give a feed and files, or --all with a folder."
        )
    schemas.feed(feed)
    return [(feed, path) for path in paths]


def _unseen(done: int, total: int) -> None:
    del done, total


class _Accounts:
    """What a log gets: the accounts alone."""

    def watch(self, title: str) -> Watch:
        """Nobody looks at lines that move."""
        del title
        return _unseen

    def print(self, text: str) -> None:
        """The account of one file."""
        click.echo(text, err=True)


@contextmanager
def _progress() -> Iterator[Lines]:
    if not sys.stderr.isatty():
        yield _Accounts()
        return
    # Only here: what draws the lines takes a while to import.
    from pipeline.cli.lines import lines

    with lines() as drawn:
        yield drawn


def _told(outcome: Outcome) -> str:
    account = outcome.account
    run = f"run {outcome.run}: " if outcome.run else ""
    head = f"{run}{outcome.feed} {outcome.status}, {Path(outcome.file).name}"
    if outcome.message:
        return f"{head}: {outcome.message}"
    skipped = f"{account.skipped} skipped + " if account.skipped else ""
    removed = f"; {account.removed} removed" if account.removed else ""
    lines = [
        head,
        (
            f"  arrived {account.arrived} = {skipped}{account.inserted} inserted"
            f" + {account.updated} updated + {account.unchanged} unchanged"
            f" + {account.quarantined} quarantined{removed}  ({outcome.seconds:.1f} s)"
        ),
    ]
    if outcome.crs_evidence:
        lines.append(f"  coordinates: {outcome.crs_evidence}")
    catalog = Catalog.load()
    for (code, field), rows in sorted(outcome.counts.items(), key=lambda item: -item[1]):
        lines.append(f"  {rows:>7} {catalog.severity(code):<7} {code} {field or ''}".rstrip())
    return "\n".join(lines)


def _end(outcomes: list[Outcome], *, as_json: bool, refused: MakanError | None) -> None:
    if as_json:
        options.emit([_plain(outcome) for outcome in outcomes])
    if refused is not None:
        raise refused
    if any(outcome.account.quarantined for outcome in outcomes):
        raise click.exceptions.Exit(1)


def _plain(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON."""
    counts = [
        {"code": code, "field": field, "rows": rows}
        for (code, field), rows in sorted(outcome.counts.items(), key=str)
    ]
    return {**asdict(outcome), "counts": counts}
