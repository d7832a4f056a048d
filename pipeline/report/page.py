"""Page: one self-contained HTML file about a run, Persian or English, for screen and A4."""

from __future__ import annotations

import base64
import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import tomli
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from persiantools.jdatetime import JalaliDateTime

from pipeline import paths
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.findings import Finding
from pipeline.report import aside
from pipeline.report.export import as_written
from pipeline.report.origin import Origin, origin
from pipeline.report.picture import picture
from pipeline.report.repairs import repairs

Language = Literal["fa", "en"]
_HERE = Path(__file__).parent
_SAMPLES, _ROWS, _LONG = 5, 200, 160
_FONT = Path("static") / "vendor" / "vazirmatn" / "vazirmatn-arabic.woff2"
_PERSIAN = str.maketrans("0123456789,.", "۰۱۲۳۴۵۶۷۸۹٬٫")
_CONTROL = {code: "\ufffd" for code in range(32) if chr(code) not in "\t\n"}
_ORDER = ("error", "warning", "info")


@dataclass(frozen=True)
class Group:
    """All findings of one code and field. ``source`` is what the office calls the field."""

    code: str
    severity: str
    quality: str
    field: str | None
    source: str
    count: int
    samples: tuple[dict[str, Any], ...]


def page(connection: Connection, schemas: Schemas, number: int, lang: Language) -> str:
    """The page about the run ``number``; SettingsError if there is no such run of rows."""
    found = origin(connection, schemas, number)
    every = aside.rows(connection, found)
    left = _open(connection, found)
    return (
        _environment(lang, schemas)
        .get_template("report.html")
        .render(
            lang=lang,
            run=found.run,
            of=found.of,
            feed=found.context.feed,
            layer=found.context.layer,
            city=schemas.city,
            parts=_parts(found),
            groups=_groups(connection, found, lang),
            picture=picture(connection, found, every),
            repairs=repairs(connection, found, lang),
            last=_last(connection, found),
            rows=every[:_ROWS],
            left=left,
            closed=0 if found.of else found.run.quarantined - left,
        )
    )


def _open(connection: Connection, found: Origin) -> int:
    values = {"runs": [found.run.id]}
    row = connection.execute(queries.load("report")["open_by_run"], values).fetchone()
    return int(str(row[1])) if row else 0


def _last(connection: Connection, found: Origin) -> tuple[int | None, list[str]]:
    """The delivery this one was compared with, and the guards that were overridden by name."""
    values = {"run": found.run.id}
    row = connection.execute(queries.load("report")["compared"], values).fetchone()
    former, accepted = row if row else (None, [])
    return (None if former is None else int(str(former))), list(accepted)  # type: ignore[call-overload]


def _parts(found: Origin) -> list[tuple[str, int]]:
    """Where the arrived rows went: the parts add up to them."""
    names = ("inserted", "updated", "unchanged", "skipped", "quarantined")
    return [(name, int(getattr(found.run, name))) for name in names]


def _groups(connection: Connection, found: Origin, lang: Language) -> list[Group]:
    named, values = queries.load("ledger"), {"run": found.run.id, "samples": _SAMPLES}
    samples: dict[tuple[str, str | None], list[dict[str, Any]]] = defaultdict(list)
    told: list[tuple[Any, ...]] = connection.execute(named["finding_samples"], values).fetchall()
    for row in told:
        finding = Finding(*row)
        message = aside.in_words(finding, found.context, lang)
        samples[finding.code, finding.field].append(
            {
                "line": finding.line,
                "key": finding.key,
                "value": finding.value,
                "message": message,
            }
        )
    counted: list[tuple[Any, ...]] = connection.execute(
        named["findings_by_code"], values
    ).fetchall()
    groups = [_group(found, lang, row, tuple(samples[row[0], row[2]])) for row in counted]
    return sorted(groups, key=lambda group: (_ORDER.index(group.severity), -group.count))


def _group(
    found: Origin, lang: Language, row: tuple[Any, ...], samples: tuple[dict[str, Any], ...]
) -> Group:
    code, severity, field, count = row
    kind = found.context.catalog.kinds.get(code)
    sources = {column.to: " + ".join(column.sources) for column in found.context.feed.columns}
    names = [sources.get(name, name) for name in (field or "").split()]
    return Group(
        code=code,
        severity=severity,
        quality=kind.quality if kind else "",
        field=aside.titled(field, found.context.layer, lang),
        source=", ".join(name for name in names if name),
        count=int(count),
        samples=samples,
    )


def _environment(lang: Language, schemas: Schemas) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=partial(_number, lang=lang),
        shown=_shown,
        evidence=partial(aside.evidence_in, lang=lang, schemas=schemas),
        when=partial(_when, lang=lang, zone=schemas.city.timezone),
        basename=lambda text: text.replace("\\", "/").rsplit("/", 1)[-1],
    )
    environment.globals.update(t=partial(_word, lang=lang), font=_font())
    return environment


@cache
def _words() -> dict[str, dict[str, str]]:
    return tomli.loads((_HERE / "templates" / "words.toml").read_text(encoding="utf-8"))


def _word(key: str, lang: Language, **values: object) -> str:
    """A text of the page; what the list does not know is shown as it is."""
    known = _words().get(key)
    return known[lang].format(**values) if known else key


def _number(value: float, decimals: int = 0, *, lang: Language) -> str:
    text = f"{value:,.{decimals}f}"
    return text.translate(_PERSIAN) if lang == "fa" else text


def _shown(value: Any) -> str:
    """One raw value for people: not endless, and without marks that no page can hold."""
    text = (as_written(value) or "").translate(_CONTROL)
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"


def _when(started: str, *, lang: Language, zone: str) -> str:
    """The city's own time; in Persian by the Jalali calendar."""
    local = dt.datetime.fromisoformat(started).astimezone(ZoneInfo(zone))
    if lang == "en":
        return f"{local:%Y-%m-%d %H:%M}"
    jalali = JalaliDateTime.to_jalali(local)  # type: ignore[no-untyped-call]
    date = f"{jalali.year}/{jalali.month:02}/{jalali.day:02}"
    return f"{date} {local:%H:%M}".translate(_PERSIAN)


def _font() -> Markup:
    """The Persian face within the page itself; without it, the reader's own."""
    path = paths.server_files() / _FONT
    if not path.exists():
        return Markup()
    return Markup(base64.b64encode(path.read_bytes()).decode())  # noqa: S704 - digits and letters
