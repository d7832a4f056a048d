"""Entities: the rows of drawn sheets with their roles, and where each ended up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import shapely

from pipeline.contracts.cad import Cad

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Shapes = npt.NDArray[np.object_]
Texts = npt.NDArray[np.object_]

USED, IGNORED = "used", "ignored"
_LINES = (1, 2, 3, 5, 6)


@dataclass(frozen=True)
class Drawn:
    """One sheet: its name and its entities as the reader of drawings gives them."""

    sheet: str
    table: pa.Table
    geometry: str


@dataclass
class Entities:
    """All entities of all sheets. ``fate`` is used, ignored, or why it was set aside; None until
    it is known."""

    sheet: Texts
    layer: Texts
    kind: Texts
    text: Texts
    handle: Texts
    role: Texts
    shapes: Shapes
    fate: Texts = field(init=False)

    def __post_init__(self) -> None:
        self.fate = np.full(len(self.sheet), None, dtype=object)

    def __len__(self) -> int:
        return len(self.sheet)

    def settle(self, places: Ints | Mask, fate: str) -> None:
        """Says what became of some entities; the first word stands."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[places] = True
        self.fate[chosen & (self.fate == None)] = fate  # noqa: E711 - by element

    def of(self, role: str) -> Ints:
        """Entities of a role that nothing is settled about yet."""
        open_still = self.fate == None  # noqa: E711 - by element
        return np.flatnonzero((self.role == role) & open_still)

    def named(self, place: int) -> str:
        """An entity as people find it: sheet and handle."""
        return f"{self.sheet[place]} {self.handle[place] or '?'}"

    def counted(self) -> Counter[str]:
        """How many ended how."""
        return Counter(self.fate.tolist())


def entities(sheets: list[Drawn], rules: Cad) -> Entities:
    """All rows of all sheets with their roles; what cannot be what its layer says is set aside."""
    columns: dict[str, list[str | None]] = {
        name: [one for drawn in sheets for one in drawn.table.column(name).to_pylist()]
        for name in ("Layer", "Entity", "Text", "Handle", "Block", "Attributes")
    }
    names = [drawn.sheet for drawn in sheets for _ in range(drawn.table.num_rows)]
    raw = [one for drawn in sheets for one in drawn.table.column(drawn.geometry).to_pylist()]
    roles = [rules.layers.get(layer or "") for layer in columns["Layer"]]
    wkb = np.empty(len(raw), dtype=object)
    wkb[:] = raw
    found = Entities(
        sheet=_texts(names),
        layer=_texts(columns["Layer"]),
        kind=_texts(columns["Entity"]),
        text=_texts(_numbers(columns, rules.number_tag)),
        handle=_texts(columns["Handle"]),
        role=_texts(roles),
        shapes=np.asarray(shapely.force_2d(shapely.from_wkb(wkb)), dtype=object),
    )
    _settle_first(found, _texts(columns["Block"]))
    return found


def _texts(values: Sequence[str | None]) -> Texts:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def _numbers(columns: dict[str, list[str | None]], tag: str | None) -> list[str | None]:
    """What each entity says; of an INSERT the attribute that is asked for."""
    if tag is None:
        return columns["Text"]
    said = zip(columns["Entity"], columns["Attributes"], columns["Text"], strict=True)
    return [
        orjson.loads(attributes).get(tag) if kind == "INSERT" and attributes else text
        for kind, attributes, text in said
    ]


def _settle_first(found: Entities, block: Texts) -> None:
    """What the map ignores, what no map names, and what cannot have the role of its layer."""
    for role in ("ignore", "frame"):
        found.settle(found.role == role, IGNORED)
    found.settle(found.role == None, "layer not mapped")  # noqa: E711 - by element
    lines = np.isin(found.role, ("boundary", "block"))
    inserted = found.kind == "INSERT"
    # What an INSERT shows follows it, entity by entity.
    found.settle(lines & inserted, IGNORED)
    drawn = np.isin(shapely.get_type_id(found.shapes), _LINES)
    found.settle(lines & ~drawn, "not a line")
    texts = np.isin(found.role, ("number", "block_number"))
    inside = (block != None) & ~inserted  # noqa: E711 - by element
    said = np.array([bool(text and text.strip()) for text in found.text], dtype=bool)
    numbered = set(found.handle[texts & inserted & said].tolist())
    shown = np.array([handle in numbered for handle in found.handle], dtype=bool)
    found.settle(texts & inside & shown, IGNORED)
    found.settle(texts & inserted & ~said, IGNORED)
    points = shapely.get_type_id(found.shapes) == shapely.GeometryType.POINT
    found.settle(texts & ~(said & points), "not a text")
