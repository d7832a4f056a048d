"""Drawing: entities of a CAD drawing as rows: what they are, what they say, and their shape."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pyarrow as pa
from ezdxf.enums import InsertUnits
from ezdxf.lldxf.encoding import decode_dxf_unicode, decode_mif_to_unicode
from ezdxf.units import conversion_factor

from pipeline.errors import ArrivalError
from pipeline.stages.curves import SAGITTA_M
from pipeline.stages.readers.outline import TEXTS, drawn, outline

_BY_LAYER, _BY_BLOCK = 256, 0
_MAX_DEPTH, _MAX_PARTS = 16, 1_000_000
_ESCAPED = re.compile(r"\\[UM]\+[0-9A-Fa-f]")
_SURROGATES = re.compile(r"[\udc80-\udcff]")


@dataclass(frozen=True)
class _Column:
    attribute: str
    kind: pa.DataType


# What a drawing's rows are called, and where each stands in a row.
COLUMNS = {
    "Layer": _Column("layer", pa.string()),
    "Entity": _Column("kind", pa.string()),
    "Text": _Column("text", pa.string()),
    "Handle": _Column("handle", pa.string()),
    "Block": _Column("block", pa.string()),
    "Attributes": _Column("attributes", pa.string()),
    "Colour": _Column("colour", pa.int32()),
    "Linetype": _Column("linetype", pa.string()),
    "Elevation": _Column("elevation", pa.float64()),
    "Height": _Column("height", pa.float64()),
    "Rotation": _Column("rotation", pa.float64()),
    "Closed": _Column("closed", pa.bool_()),
}


@dataclass(frozen=True)
class Row:
    """One entity. ``elevation`` is the height of all its points, None where they differ."""

    layer: str
    kind: str
    text: str | None
    handle: str | None
    block: str | None
    attributes: str | None
    colour: int
    linetype: str
    elevation: float | None
    height: float | None
    rotation: float | None
    closed: bool | None
    wkb: bytes | None


@dataclass(frozen=True)
class _From:
    """What a part of a block takes from the INSERT that shows it."""

    layer: str
    colour: int
    handle: str | None
    block: str | None
    depth: int = 0


class Pen:
    """Draws the entities of one drawing."""

    def __init__(self, drawing: Any, label: str) -> None:
        """Curves are stroked to 1 cm in the drawing's units; unitless ones are taken for metres."""
        self.drawing = drawing
        self.label = label
        self.heard: set[str] = set()
        unit = int(drawing.header.get("$INSUNITS", 0))
        known = unit in set(InsertUnits) and unit
        metres = conversion_factor(InsertUnits(unit), InsertUnits.Meters) if known else 1.0
        self.sagitta = SAGITTA_M / (metres or 1.0)
        self.colours = {
            self._plain(one.dxf.name): abs(int(one.dxf.color)) for one in drawing.layers
        }

    def rows(self, entity: Any) -> Iterator[Row]:
        """The rows of an entity: itself, and what the block of an INSERT shows."""
        yield from self._rows(entity, None)

    def _rows(self, entity: Any, given: _From | None) -> Iterator[Row]:
        row = self._row(entity, given)
        yield row
        kind = entity.dxftype()
        if kind not in ("INSERT", "DIMENSION"):
            return
        name = "/".join(filter(None, [given.block if given else None, row.block]))
        depth = given.depth + 1 if given else 1
        if depth > _MAX_DEPTH:
            raise ArrivalError(f"nests blocks deeper than {_MAX_DEPTH}", where=self.label)
        inner = _From(row.layer, row.colour, row.handle, name or None, depth)
        for part in self._parts(entity):
            yield from self._rows(part, inner)

    def _parts(self, entity: Any) -> Iterator[Any]:
        """What an INSERT shows, each of its copies; nothing where its block is not here."""
        if entity.dxftype() != "INSERT":
            yield from entity.virtual_entities()
            return
        block = entity.block()
        if block is None or block.block.is_xref:
            what = "another drawing" if block else "a block that is not here"
            self.heard.add(f"{what} is inserted: {self._plain(entity.dxf.name)}")
            return
        if entity.mcount * len(block) > _MAX_PARTS:
            raise ArrivalError(f"inserts a block {entity.mcount} times at once", where=self.label)
        for one in entity.multi_insert() if entity.mcount > 1 else (entity,):
            yield from one.virtual_entities()

    def _row(self, entity: Any, given: _From | None) -> Row:
        dxf, kind = entity.dxf, entity.dxftype()
        shape = outline(entity, self.sagitta)
        layer = self._plain(dxf.get("layer", "0"))
        if layer == "0" and given:
            layer = given.layer
        attributes = self._attributes(entity) if kind == "INSERT" else {}
        has_text = kind in (*TEXTS, "MTEXT")
        row = Row(
            layer=layer,
            kind=kind,
            text=self._text(entity, kind) or " ".join(filter(None, attributes.values())) or None,
            handle=given.handle if given else dxf.get("handle"),
            block=self._plain(dxf.name) if kind == "INSERT" else given.block if given else None,
            attributes=orjson.dumps(attributes).decode() if attributes else None,
            colour=self._colour(dxf, layer, given),
            linetype=self._plain(dxf.get("linetype", "BYLAYER")),
            elevation=None,
            height=_number(dxf, "char_height" if kind == "MTEXT" else "height")
            if has_text
            else None,
            rotation=_number(dxf, "rotation") if has_text or kind == "INSERT" else None,
            closed=shape.closed if shape else None,
            wkb=None,
        )
        return row if shape is None else replace(row, **drawn(shape))

    def _colour(self, dxf: Any, layer: str, given: _From | None) -> int:
        colour = int(dxf.get("color", _BY_LAYER))
        if colour == _BY_BLOCK and given:
            return given.colour
        return self.colours.get(layer, 7) if colour == _BY_LAYER else colour

    def _attributes(self, insert: Any) -> dict[str, str]:
        return {self._plain(one.dxf.tag): self._text(one, "ATTRIB") or "" for one in insert.attribs}

    def _text(self, entity: Any, kind: str) -> str | None:
        if kind == "MTEXT":
            entity.text = self._plain(entity.text)
            said = entity.plain_text(fast=True)
        elif kind in TEXTS:
            if kind != "TEXT" and entity.has_embedded_mtext_entity:
                said = entity.plain_mtext(fast=True)
            else:
                entity.dxf.text = self._plain(entity.dxf.get("text", ""))
                said = entity.plain_text()
        elif kind == "DIMENSION":
            said = self._plain(entity.dxf.get("text", "")).replace("<>", "").strip()
        else:
            return None
        return str(said).strip() or None

    def _plain(self, written: str) -> str:
        """Text with ``\\U+06CC`` and ``\\M+2A4A4`` decoded; bytes that are no text stop."""
        if _SURROGATES.search(written):
            raise ArrivalError(
                "its text is not in the encoding that is declared or was detected",
                where=self.label,
                todo="Declare the right encoding in the feed's [source], such as CP1256.",
            )
        if not _ESCAPED.search(written):
            return written
        return str(decode_mif_to_unicode(decode_dxf_unicode(written)))


def _number(dxf: Any, name: str) -> float | None:
    value = dxf.get(name)
    return None if value is None else float(value)
