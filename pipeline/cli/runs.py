"""``makan runs`` and ``makan report``: what the ledger knows, for people and for machines."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import click
from rich.markup import escape
from rich.table import Table

from pipeline.cli import options
from pipeline.cli.options import as_json
from pipeline.db import queries
from pipeline.db.engine import Connection, Database
from pipeline.db.ledger import Run, run
from pipeline.db.ledger import runs as latest
from pipeline.errors import ResourceError
from pipeline.findings import Catalog, Finding
from pipeline.settings import Settings

_SAMPLES = 3
_COUNTS = ("arrived", "skipped", "inserted", "updated", "unchanged", "quarantined", "removed")


@click.command("runs")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="How many.")
@as_json
@click.pass_obj
def runs(settings: Settings, limit: int, as_json: bool) -> None:
    """List the latest runs: file, account, how each ended."""
    with Database(settings).connect("loader") as connection:
        found = latest(connection, limit=limit)
        left = _open(connection, [one.id for one in found])
    if as_json:
        options.emit([{**asdict(one), "open": left.get(one.id, 0)} for one in found])
        return
    table = Table(box=None, pad_edge=False)
    for title in ("run", "feed", "status", "file", "started", "s"):
        table.add_column(title, justify="right" if title in ("run", "s") else "left")
    for title in (*_COUNTS, "open"):
        table.add_column(title, justify="right")
    for one in found:
        counts = [str(getattr(one, name)) for name in _COUNTS] + [str(left.get(one.id, 0))]
        table.add_row(*(escape(cell) for cell in _cells(one)), *counts)
    options.paper().print(table)


def _open(connection: Connection, numbers: list[int]) -> dict[int, int]:
    """How many quarantined rows of each run still wait for their correction."""
    query = queries.load("report")["open_by_run"]
    rows: list[tuple[Any, ...]] = connection.execute(query, {"runs": numbers}).fetchall()
    return dict(rows)


def _cells(one: Run) -> tuple[str, ...]:
    name = one.file.replace("\\", "/").rsplit("/", 1)[-1]
    seconds = "" if one.seconds is None else f"{one.seconds:.1f}"
    return (str(one.id), one.feed or one.layer, one.status, name, one.started[:16], seconds)


@click.command("report")
@click.argument("number", metavar="RUN", type=click.IntRange(1))
@click.option("--lang", type=click.Choice(["en", "fa"]), default="en", help="Of the messages.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(0),
              help="How many quarantined rows.")  # fmt: skip
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False),
              help="Write a page for the office that sent the file.")  # fmt: skip
@as_json
@click.pass_obj
def report(
    settings: Settings,
    number: int,
    lang: Literal["en", "fa"],
    limit: int,
    html: Path | None,
    as_json: bool,
) -> None:
    """Tell what RUN took in, what it found, and every row it set aside."""
    if html is not None:
        _write_page(settings, number, lang, html)
        return
    with Database(settings).connect("loader") as connection:
        facts = _facts(connection, number, lang, limit)
    if as_json:
        options.emit(facts)
    else:
        _print(facts)


def _write_page(settings: Settings, number: int, lang: Literal["en", "fa"], out: Path) -> None:
    from pipeline.report.page import page  # only here: templates and pictures take time to import

    with Database(settings).connect("loader") as connection:
        text = page(connection, options.schemas(settings), number, lang)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResourceError(
            f"cannot be written ({error.strerror})", where=str(out), todo="Choose another place."
        ) from None
    options.out(f"{out.name}: run {number}, {len(text.encode()) // 1024} kB")


def _facts(connection: Connection, number: int, lang: str, limit: int) -> dict[str, Any]:
    """All that the database knows of a run, as JSON would have it."""
    named, values = queries.load("ledger"), {"run": number, "samples": _SAMPLES, "limit": limit}
    found = run(connection, number)
    counted = connection.execute(named["findings_by_code"], values).fetchall()
    samples = connection.execute(named["finding_samples"], values).fetchall()
    rows = connection.execute(named["quarantined"], values).fetchall()
    catalog = Catalog.load()
    told = [_finding(sample, catalog, lang) for sample in samples]
    return {
        **asdict(found),
        "closes": found.account.closes,
        "open": _open(connection, [number]).get(number, 0),
        "findings": [
            {
                "code": code,
                "severity": severity,
                "field": field,
                "rows": count,
                "samples": [s for s in told if (s["code"], s["field"]) == (code, field)],
            }
            for code, severity, field, count in counted
        ],
        "quarantine": [
            {"line": line, "key": key, "reasons": reasons, "raw": raw}
            for line, key, reasons, raw in rows
        ],
    }


def _finding(sample: tuple[Any, ...], catalog: Catalog, lang: str) -> dict[str, Any]:
    code, layer, key, line, field, value, detail = sample
    one = Finding(code, layer, key, line, field, value, detail)
    message = catalog.message(one, lang) if code in catalog.codes else detail
    return {"code": code, "field": field, "line": line, "key": key, "message": message}


def _print(facts: dict[str, Any]) -> None:
    paper = options.paper()
    name = facts["feed"] or facts["layer"]
    paper.print(f"[bold]run {facts['id']}[/bold] {escape(name)}: {facts['status']}")
    for title in (
        "file",
        "file_sha256",
        "started",
        "seconds",
        "who",
        "message",
        "crs_operation",
        "crs_evidence",
    ):
        if facts[title] is not None:
            paper.print(f"  {title}: {escape(str(facts[title]))}")
    parts = [f"{facts[name]} {name}" for name in _COUNTS[1:-1] if facts[name] or name != "skipped"]
    paper.print(f"  arrived {facts['arrived']} = {' + '.join(parts)}; {facts['removed']} removed")
    if facts["quarantined"]:
        paper.print(f"  {facts['open']} of the quarantined rows are still open")
    if facts["findings"]:
        paper.print(_findings_table(facts["findings"]))
    if facts["quarantine"]:
        paper.print(_quarantine_table(facts["quarantine"]))
    left = facts["quarantined"] - len(facts["quarantine"])
    if left > 0:
        paper.print(f"  {left} more rows are in quarantine (--limit)")


def _findings_table(findings: list[dict[str, Any]]) -> Table:
    table = Table(title="found", title_justify="left", box=None, pad_edge=False)
    for title in ("rows", "severity", "code", "field", "for example"):
        table.add_column(title, justify="right" if title == "rows" else "left")
    for one in findings:
        said = "\n".join(
            f"{f'row {sample["line"]}: ' if sample['line'] else ''}{sample['message']}"
            for sample in one["samples"]
        )
        cells = (str(one["rows"]), one["severity"], one["code"], one["field"] or "", said)
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _quarantine_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="in quarantine", title_justify="left", box=None, pad_edge=False)
    for title in ("row", "key", "reasons", "as it arrived"):
        table.add_column(title, justify="right" if title == "row" else "left")
    for one in rows:
        raw = ", ".join(f"{name}={value}" for name, value in one["raw"].items())
        cells = (str(one["line"]), one["key"] or "", ", ".join(one["reasons"]), raw)
        table.add_row(*(escape(cell) for cell in cells))
    return table
