"""What travels between stages: batches of columns, and findings found on whole columns at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from pipeline.contracts.layer import LayerContract

Mask = npt.NDArray[np.bool_]
Lines = npt.NDArray[np.int64]
Geometries = npt.NDArray[np.object_]
Floats = npt.NDArray[np.float64]

# What is known of each finding, one list each.
COLUMNS = ("code", "line", "field_name", "value", "detail", "shape")


@dataclass(frozen=True)
class Raw:
    """Rows as they arrived; ``lines`` count the file's rows from 1, ``wkb`` is in its CRS.

    ``personal`` is what was cut off of them, None where nothing was: nobody but who keeps it may
    look at it.
    """

    lines: Lines
    columns: pa.Table
    wkb: pa.Array | None
    personal: pa.Table | None = None

    def take(self, places: Lines) -> Raw:
        """The rows at ``places``."""
        chosen = pa.array(places)
        wkb = None if self.wkb is None else self.wkb.take(chosen)
        return Raw(self.lines[places], self.columns.take(chosen), wkb)


@dataclass(frozen=True)
class Rows:
    """Rows in the contract's names. ``columns`` are typed after clean; ``geometry`` is shapely's,
    in the city's CRS after clean, a single part also where the layer takes multi parts."""

    lines: Lines
    columns: dict[str, pa.Array]
    geometry: Geometries | None = None

    def __len__(self) -> int:
        return len(self.lines)

    @cached_property
    def area(self) -> Floats:
        """In square units of the CRS; nan where there is no geometry."""
        return np.asarray(shapely.area(self.geometry), dtype=np.float64)

    @cached_property
    def length(self) -> Floats:
        """Of lines and outlines, in units of the CRS; nan where there is no geometry."""
        return np.asarray(shapely.length(self.geometry), dtype=np.float64)

    def keys_at(self, layer: LayerContract, places: Lines) -> dict[int, str | None]:
        """The keys of the rows at ``places``, by line."""
        chosen = {name: self.columns[name].take(pa.array(places)) for name in layer.key}
        return dict(
            zip(self.lines[places].tolist(), key_text(chosen, layer).to_pylist(), strict=True)
        )


def key_text(columns: Mapping[str, pa.Array], layer: LayerContract) -> pa.Array:
    """Keys as people read them and the ledger keeps them: the parts joined by a blank."""
    parts = [columns[name].cast(pa.string()) for name in layer.key]
    return pc.binary_join_element_wise(*parts, " ", null_handling="emit_null")


@dataclass
class Found:
    """Findings of one batch, row by row as columns; ``line`` 0 is the whole file.

    ``shape`` is a place of the finding's own (WKB in the city's CRS) where it is not the row's.
    """

    code: list[str] = field(default_factory=list)
    line: list[int] = field(default_factory=list)
    field_name: list[str | None] = field(default_factory=list)
    value: list[str | None] = field(default_factory=list)
    detail: list[str | None] = field(default_factory=list)
    shape: list[bytes | None] = field(default_factory=list)
    tally: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.code)

    def mark(
        self,
        code: str,
        lines: Lines,
        *,
        field_name: str | None = None,
        values: Iterable[str | None] | None = None,
        details: Iterable[str | None] | str | None = None,
    ) -> None:
        """Adds one finding of ``code`` for each of ``lines``."""
        count = len(lines)
        if not count:
            return
        self.code += [code] * count
        self.line += lines.tolist()
        self.field_name += [field_name] * count
        self.value += [None] * count if values is None else [_short(value) for value in values]
        if details is None or isinstance(details, str):
            self.detail += [_short(details)] * count
        else:
            self.detail += [_short(detail) for detail in details]
        self.shape += [None] * count

    def whole(
        self,
        code: str,
        *,
        field_name: str | None = None,
        value: object = None,
        detail: object = None,
        shape: shapely.Geometry | None = None,
    ) -> None:
        """Adds one finding about the whole file, or about a place in it that is no row's."""
        self.mark(
            code,
            np.zeros(1, dtype=np.int64),
            field_name=field_name,
            values=[None if value is None else str(value)],
            details=[None if detail is None else str(detail)],
        )
        self.shape[-1] = None if shape is None else shapely.to_wkb(shape, output_dimension=2)

    def extend(self, other: Found) -> None:
        """Takes over the findings of ``other``."""
        for name in COLUMNS:
            getattr(self, name).extend(getattr(other, name))
        self.tally.update(other.tally)

    def count_rows(self, code: str, field_name: str, detail: str, count: int) -> None:
        """Counts rows of ``code`` that are told as one finding about the whole file."""
        if count:
            self.tally[code, field_name, detail] += count

    def tell(self, tally: Counter[tuple[str, str, str]]) -> None:
        """Adds a finding about the whole file for each kind of row that was counted."""
        for (code, name, detail), count in sorted(tally.items()):
            self.whole(code, field_name=name, value=count, detail=detail)

    def lines_of(self, codes: frozenset[str]) -> Lines:
        """Lines (without 0) that have a finding among ``codes``, each once, in order."""
        found = {
            line for code, line in zip(self.code, self.line, strict=True) if line and code in codes
        }
        return np.array(sorted(found), dtype=np.int64)

    def counts(self) -> Counter[tuple[str, str | None]]:
        """How often each code was found, by field."""
        return Counter(zip(self.code, self.field_name, strict=True))


def _short(text: str | None, longest: int = 200) -> str | None:
    """``text`` for people: not endless, and without NUL, which PostgreSQL's text cannot hold."""
    if text is None:
        return None
    text = text.replace("\x00", "")
    return text if len(text) <= longest else text[: longest - 1] + "…"
