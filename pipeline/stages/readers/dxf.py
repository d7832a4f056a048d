"""DXF, R12 to R2018, text or binary, by ezdxf: one row an entity of model space.

GDAL trusts $DWGCODEPAGE where the version says UTF-8, and leaves ``\\U+06CC`` as it is written.
Tables and blocks are held in memory, entities pass through one by one.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
from ezdxf.document import Drawing
from ezdxf.entities import factory
from ezdxf.entities.subentity import entity_linker
from ezdxf.lldxf.const import DXFError
from ezdxf.lldxf.extendedtags import ExtendedTags
from ezdxf.lldxf.tagger import ascii_tags_loader, binary_tags_loader, tag_compiler
from ezdxf.lldxf.types import DXFTag

from pipeline.errors import ArrivalError
from pipeline.stages.container import Opened
from pipeline.stages.encoding import python_name
from pipeline.stages.readers.base import Layer, brief, wkb_field
from pipeline.stages.readers.drawing import COLUMNS, Pen, Row
from pipeline.stages.telling import BINARY_DXF, Told

logging.getLogger("ezdxf").addHandler(logging.NullHandler())
logging.getLogger("ezdxf").propagate = False

_GEOMETRY = "geometry"
_SHEET = "entities"
# What ezdxf raises for a file that breaks the rules, for not all is looked at beforehand.
_BROKEN = (
    DXFError, ValueError, KeyError, IndexError, AttributeError, TypeError, AssertionError,
    struct.error, OverflowError, RecursionError,
)  # fmt: skip
# Entities that belong to the one before them.
_PARTS = ("VERTEX", "SEQEND", "ATTRIB")
_PAPER_SPACE = 67
# Of a drawing that names no version, though its entities are those of R2000.
_HEADER = [
    DXFTag(0, "SECTION"), DXFTag(2, "HEADER"), DXFTag(9, "$ACADVER"), DXFTag(1, "AC1015"),
    DXFTag(0, "ENDSEC"),
]  # fmt: skip
_HEAD = 2**16


@contextmanager
def _explained(label: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        said = brief(error, label) or type(error).__name__
        raise ArrivalError(
            f"cannot be read: {said}",
            where=label,
            todo="Ask for it again, saved as DXF R2000 or R2013.",
        ) from None
    except OSError as error:
        raise ArrivalError(f"cannot be read ({error.strerror})", where=label) from None


@dataclass
class DxfDataset:
    """A drawing."""

    arrival: Opened
    driver: str = "DXF"
    sheets: list[str] = field(default_factory=lambda: [_SHEET])

    @property
    def told(self) -> Told:
        """What its header says, where its letters do not say otherwise."""
        return self.arrival.told

    def layer(self, sheet: str, encoding: str | None) -> Layer:
        """Model space; ``encoding`` is what the feed declares or the bytes have shown."""
        told = self.arrival.told.said
        chosen = python_name(encoding or told or "cp1252") or "cp1252"
        tags = _Tags(self.arrival.place, chosen)
        with _explained(self.arrival.label):
            drawing, count = _without_entities(tags)
        return DxfLayer(
            label=self.arrival.label,
            sheet=sheet,
            names=list(COLUMNS),
            geometries={_GEOMETRY: "Unknown"},
            features=count,
            tags=tags,
            drawing=drawing,
        )


@dataclass(frozen=True)
class _Tags:
    """The pairs of group code and value of a drawing's file."""

    path: Path
    encoding: str

    @cached_property
    def is_binary(self) -> bool:
        """Whether its tags are binary."""
        with self.path.open("rb") as stream:
            return stream.read(len(BINARY_DXF)) == BINARY_DXF

    @cached_property
    def is_bare(self) -> bool:
        """Whether it names no version, and would be taken for R12, but is none."""
        with self.path.open("rb") as stream:
            head = stream.read(_HEAD)
        return b"$ACADVER" not in head and b"AcDb" in head

    def __iter__(self) -> Iterator[DXFTag]:
        if self.is_binary:
            yield from binary_tags_loader(self.path.read_bytes())
            return
        with self.path.open(encoding=self.encoding, errors="surrogateescape") as stream:
            yield from ascii_tags_loader(stream)


def _without_entities(tags: _Tags) -> tuple[Drawing, int]:
    """Header, tables and blocks, and how many entities there are in model space.

    They are counted on the bare tags, so that the count is another reader's.
    """
    counter = _Counter()
    told = counter.through(tags)
    drawing = Drawing.load(chain(_HEADER, _headless(told)) if tags.is_bare else told)
    return drawing, counter.count


def _headless(tags: Iterator[DXFTag]) -> Iterator[DXFTag]:
    """``tags`` without the section HEADER."""
    waiting, inside = None, False
    for tag in tags:
        if waiting is not None and (tag.code, tag.value) == (2, "HEADER"):
            waiting, inside = None, True
            continue
        if waiting is not None:
            yield waiting
            waiting = None
        if inside:
            inside = (tag.code, tag.value) != (0, "ENDSEC")
        elif (tag.code, tag.value) == (0, "SECTION"):
            waiting = tag
        else:
            yield tag


class _Counter:
    """Lets all tags pass but those of entities, which it counts."""

    def __init__(self) -> None:
        self.count = 0

    def through(self, tags: _Tags) -> Iterator[DXFTag]:
        """The tags of everything else."""
        inside = opening = False
        for tag in tags:
            if tag.code == 0:
                opening = tag.value == "SECTION"
                if inside and tag.value != "ENDSEC":
                    self.count += tag.value not in _PARTS
                    part = tag.value in _PARTS
                    continue
                inside = False
            elif inside:
                # The space of a part is its owner's.
                if tag.code == _PAPER_SPACE and not part and int(tag.value) == 1:
                    self.count -= 1
                continue
            yield tag
            if opening and tag.code == 2:
                inside, opening = tag.value == "ENTITIES", False


@dataclass
class DxfLayer(Layer):
    """The entities of model space; ``seen`` counts entities, of which an INSERT makes many rows."""

    tags: Any = None
    drawing: Any = None

    def tables(self, rows: int) -> Generator[pa.Table]:
        """Rows as the pen draws them."""
        pen = Pen(self.drawing, self.label)
        waiting: list[Row] = []
        with _explained(self.label):
            for entity in self._entities():
                self.seen += 1
                for row in pen.rows(entity):
                    waiting.append(row)
                    if len(waiting) == rows:
                        yield _table(waiting)
                        waiting = []
        self.heard |= pen.heard
        if waiting or not self.seen:
            yield _table(waiting)

    def _entities(self) -> Iterator[Any]:
        """Entities of model space with what belongs to them."""
        belongs = entity_linker()
        waiting = None
        for tags in _of_entities(tag_compiler(iter(self.tags))):
            entity = factory.load(tags, self.drawing)
            entity.doc = self.drawing
            if belongs(entity):
                continue
            if waiting is not None:
                yield waiting
            waiting = None if entity.dxf.get("paperspace", 0) else entity
        if waiting is not None:
            yield waiting


def _of_entities(tags: Iterator[DXFTag]) -> Iterator[ExtendedTags]:
    """The tags of each entity of the section ENTITIES."""
    inside, before = False, None
    entity: list[DXFTag] = []
    for tag in tags:
        if tag.code == 0:
            if entity:
                yield ExtendedTags(entity)
            entity = [tag] if inside and tag.value != "ENDSEC" else []
            inside = inside and tag.value != "ENDSEC"
        elif inside:
            entity.append(tag)
        elif tag.code == 2 and before == (0, "SECTION"):
            inside = tag.value == "ENTITIES"
        before = (tag.code, tag.value)


def _table(rows: list[Row]) -> pa.Table:
    columns = [
        pa.array([getattr(row, name) for row in rows], type=kind)
        for name, kind in ((column.attribute, column.kind) for column in COLUMNS.values())
    ]
    fields = [pa.field(name, column.kind) for name, column in COLUMNS.items()]
    shapes = pa.array([row.wkb for row in rows], type=pa.binary())
    return pa.table([*columns, shapes], schema=pa.schema([*fields, wkb_field(_GEOMETRY)]))
