"""Tables of numbers as contractors write them: CSV with a head, `;` or tabs, Persian digits."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import ArrivalError
from pipeline.terrain.grid import Floats

_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٫", "01234567890123456789.")

#: A column as we call it, and what it may be called in the file.
Names = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as written, their lines in the file, and the file's column of each term."""

    path: Path
    rows: list[dict[str, str]]
    lines: list[int]
    columns: dict[str, str]

    def texts(self, term: str) -> list[str]:
        """A column as it is written; empty where the file has none."""
        head = self.columns.get(term)
        return [row[head].strip() if head else "" for row in self.rows]

    def numbers(self, term: str) -> Floats:
        """A column of numbers, NaN where a cell is empty or there is no such column.

        Raises ArrivalError, naming the line, for what is no number.
        """
        found = np.full(len(self.rows), np.nan)
        for index, text in enumerate(self.texts(term)):
            if not text:
                continue
            try:
                found[index] = float(text)
            except ValueError:
                raise self.wrong(index, f"{text!r} is no number") from None
            if not np.isfinite(found[index]):
                raise self.wrong(index, "a number is not finite")
        return found

    def wrong(self, index: int, what: str) -> ArrivalError:
        """The error of a row."""
        return ArrivalError(f"line {self.lines[index]}: {what}", where=self.path.name)


def read(path: Path, needed: Names, more: Names) -> Table:
    """The table of ``path`` with the ``needed`` columns, and those of ``more`` that it has.

    Raises ArrivalError for a column that is missing, or where there is no row.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").translate(_DIGITS)
    except (OSError, UnicodeDecodeError) as error:
        raise ArrivalError(f"cannot be read: {error}", where=str(path)) from None
    lines = text.splitlines() or [""]
    reader = csv.DictReader(lines, delimiter=max(",;\t", key=lines[0].count))
    heads = {head.strip().lower(): head for head in reader.fieldnames or ()}
    columns = {}
    for term, known in {**needed, **more}.items():
        found = next((heads[name] for name in known if name in heads), None)
        if found is not None:
            columns[term] = found
        elif term in needed:
            raise ArrivalError(
                f"has no column for {term}", where=path.name,
                todo=f"It may be called {', '.join(known)}.",
            )  # fmt: skip
    rows, numbers = [], []
    for row in reader:
        rows.append({head: row[head] or "" for head in columns.values()})
        numbers.append(reader.line_num)
    if not rows:
        raise ArrivalError("holds no row", where=path.name)
    return Table(path, rows, numbers, columns)
