"""Code lists: schemas/codelists/*.csv with the columns code, fa, en. All text, nothing guessed."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.contracts.base import Text
from pipeline.errors import ContractError

HEADER = ["code", "fa", "en"]


@dataclass(frozen=True)
class Codelist:
    """A list of codes and what they mean, in the order of the file."""

    id: str
    entries: dict[str, Text]

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """All codes, in the order of the file."""
        return tuple(self.entries)


def read(path: Path) -> Codelist:
    """The code list in ``path``; raises ContractError with the line of a mistake."""
    entries: dict[str, Text] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        if next(rows, None) != HEADER:
            raise ContractError(f"the first line must be {','.join(HEADER)}", where=f"{path}:1")
        for row in rows:
            where = f"{path}:{rows.line_num}"
            if len(row) != len(HEADER) or not all(cell.strip() for cell in row):
                raise ContractError("needs code, fa and en, none empty", where=where)
            code, fa, en = (cell.strip() for cell in row)
            if code in entries:
                raise ContractError(f"code {code} stands twice", where=where)
            entries[code] = Text(en=en, fa=fa)
    return Codelist(path.stem, entries)
