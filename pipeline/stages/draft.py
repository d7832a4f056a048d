"""Draft: a feed for a file nobody has described, as TOML for a person to finish."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.stages.evidence import Profile
from pipeline.stages.suggest import Suggestion, suggest
from pipeline.stages.unknown import Seen, look

_NOTHING_FILLS = (
    "# Required, and nothing seems to fill it. Give a column (from) or a constant (value):"
)


@dataclass(frozen=True)
class Drafted:
    """The feed as TOML, and the required fields that nothing fills yet."""

    id: str
    toml: str
    missing: tuple[str, ...]


def draft(
    path: Path,
    layer: str,
    schemas: Schemas,
    *,
    name: str | None = None,
    sheet: str | None = None,
    member: str | None = None,
    header: int = 1,
) -> Drafted:
    """Reads the first rows of ``path`` and proposes a feed of ``layer``; raises ArrivalError."""
    contract = schemas.layer(layer)
    seen = look(path, contract, schemas, sheet, member, header)
    columns = [one for one in seen.columns if one.name not in (seen.axes or ())]
    chosen = suggest(columns, contract, schemas)
    filled = {one.to for one in chosen}
    missing = tuple(
        field.name
        for field in contract.fields
        if field.required and not field.derive and field.name not in filled
    )
    identifier = name or _identifier(path.stem, layer)
    lines = [
        *_head(identifier, layer, path),
        *_source(seen, contract, member, header),
        *_spare(seen, missing),
        *_columns(chosen, missing, columns),
    ]
    return Drafted(identifier, "\n".join(lines) + "\n", missing)


def _identifier(stem: str, layer: str) -> str:
    bare = re.sub(r"[^a-z0-9]+", "_", stem.casefold()).strip("_")[:40]
    return bare if re.match(r"[a-z]", bare) else f"{layer}_feed"


def _quoted(value: str) -> str:
    """``value`` as a TOML string, on one line."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _head(identifier: str, layer: str, path: Path) -> Iterator[str]:
    yield f"# Drafted by `makan feed draft` from {_quoted(path.name)}. Read every line, then"
    yield "# `makan check` until the findings tell the truth about the data, not about the feed."
    yield f"id = {_quoted(identifier)}"
    yield f"layer = {_quoted(layer)}"
    title = _quoted(path.stem)
    yield f"title = {{ en = {title}, fa = {title} }}"


def _source(seen: Seen, layer: LayerContract, member: str | None, header: int) -> Iterator[str]:
    yield 'delivery = "full" # or "partial": rows that do not arrive stay'
    yield ""
    yield "[source]"
    yield f"match = [{_quoted(glob.escape(seen.path.name))}]"
    yield f"driver = {_quoted(seen.driver)}"
    if member:
        yield f"member = {_quoted(member)}"
    if header > 1:
        yield f"header = {header} # the line with the columns' names"
    if len(seen.sheets) > 1:
        others = ", ".join(_quoted(one) for one in seen.sheets if one != seen.sheet)
        yield f"sheet = {_quoted(seen.sheet)} # there are also {others}"
    yield from _encoding(seen)
    if layer.geometry is not None:
        yield from _where(seen, layer)
    yield ""
    yield "[limits]"
    yield f"# {seen.rows} rows came."
    yield f"max_rows = {max(10, seen.rows * 2)}"


def _encoding(seen: Seen) -> Iterator[str]:
    if seen.said:
        yield f"# The file says its text is {_quoted(seen.said)}."
        if seen.driver == "CSV":
            yield f"encoding = {_quoted(seen.said)}"
    if seen.trial is None:
        return
    mark = "" if seen.trial.sure else "# "
    yield "# By trial; do these samples read well?"
    yield from (f"#   {_quoted(sample)}" for sample in seen.trial.samples)
    yield f"{mark}encoding = {_quoted(seen.trial.encoding)}"


def _where(seen: Seen, layer: LayerContract) -> Iterator[str]:
    wanted = layer.geometry.type if layer.geometry else ""
    if len(seen.geometries) > 1 and seen.geometry:
        others = ", ".join(
            f"{_quoted(one)} ({kind})" for one, kind in seen.geometries.items()
            if one != seen.geometry
        )  # fmt: skip
        yield f"geometry = {_quoted(seen.geometry)} # there are also {others}"
    if seen.axes:
        yield f"points = {{ x = {_quoted(seen.axes[0])}, y = {_quoted(seen.axes[1])} }}"
    if seen.place is None:
        yield f"# The layer needs geometry ({wanted}) and none can be read here."
        yield '# points = { x = "...", y = "..." }'
        yield '# crs = "EPSG:..."'
        return
    yield f"# CRS: {seen.place.said}."
    mark = "" if seen.place.sure and seen.place.crs else "# "
    yield f"{mark}crs = {_quoted(seen.place.crs or 'EPSG:...')}"


def _spare(seen: Seen, missing: Iterable[str]) -> Iterator[str]:
    """Where a key may be found, if no column is one."""
    if missing and seen.spare:
        names = ", ".join(_quoted(one) for one in seen.spare)
        yield f"# The file numbers its rows itself: {names} can be a column as well (from)."


def _columns(
    chosen: list[Suggestion], missing: Iterable[str], columns: list[Profile]
) -> Iterator[str]:
    by_name = {one.name: one for one in columns}
    for one in chosen:
        yield ""
        yield _told(by_name[one.source])
        yield "[[columns]]"
        yield f"to = {_quoted(one.to)} # {one.readable:.0%} of the values can be read so"
        yield f"from = {_quoted(one.source)}"
        if one.parser != "plain":
            yield f"parser = {_quoted(one.parser)}"
    for field in missing:
        yield ""
        yield _NOTHING_FILLS
        yield "# [[columns]]"
        yield f"# to = {_quoted(field)}"
        yield '# from = "..."'
    taken = {one.source for one in chosen}
    rest = [one for one in columns if one.name not in taken]
    if rest:
        yield ""
        yield "# Neither mapped nor ignored yet: give each its [[columns]], or name it in"
        yield f"# ignore = [{', '.join(_quoted(one.name) for one in rest)}] (before [source])"
        yield from (_told(one) for one in rest)


def _told(column: Profile) -> str:
    key = ", may be a key" if column.may_be_key else ""
    samples = ", ".join(_quoted(one[:40]) for one in column.samples) or "nothing"
    return (
        f"# {_quoted(column.name)} ({column.kind}): {column.empty_share:.0%} empty, "
        f"{column.distinct_share:.0%} distinct{key}: {samples}"
    )
