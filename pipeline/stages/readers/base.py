"""What every reader gives: a dataset of layers, each a stream of Arrow tables."""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from pipeline.errors import ArrivalError
from pipeline.stages.telling import Told

# RuntimeError and ValueError are what pyogrio's and Arrow's own errors are.
READ_ERRORS = (RuntimeError, ValueError, pa.ArrowException, OSError)
# Formats that leave the encoding of their text open. All else says it itself.
OPEN_TEXT = ("ESRI Shapefile", "CSV", "DXF", "MDB")
_WKB_NAMES = ("geoarrow.wkb", "ogc.wkb")
_WKB_MARK = {"ARROW:extension:name": "geoarrow.wkb"}
_LONGEST = 200
_SOURCE_PLACE = re.compile(r"/\S+\.(?:cpp|c|h)\b,?(?: \d+)?:? ?")
_OURS = re.compile(r"/vsizip/\{[^}]*\}/?|/\S*/makan-\w+/(?:\w+/)?")
_NOT_DECODED = re.compile(r"(?i)utf.{0,40}invalid|invalid.{0,40}utf")


@dataclass
class Layer(ABC):
    """One layer of a dataset, nothing of its rows read yet.

    ``names`` are its plain columns in their order; ``geometries`` its geometry columns with what
    they hold (a type's name, ``Unknown`` where that is not told), none for a plain table.
    ``features`` are the rows (or other units, see ``seen``) as another reader than the stream's
    counts them. ``crs`` is what the file says of it, ``heard`` what the reader warns of,
    ``odd`` the rows (from 1) whose end or beginning is in doubt, each with the finding's code,
    ``spare`` columns that number the rows: they are read if a feed asks for them, ``drawn`` those
    of which the shapes are made. ``days_late`` is by how much its numbers of days count from later
    than other workbooks do.
    """

    label: str
    sheet: str
    names: list[str]
    geometries: Mapping[str, str]
    features: int
    crs: str | None = None
    utf8: bool = True
    heard: set[str] = field(default_factory=set)
    seen: int = 0
    odd: dict[int, str] = field(default_factory=dict)
    spare: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    days_late: int = 0

    def crs_of(self, geometry: str | None) -> str | None:  # noqa: ARG002
        """What the file says of the CRS of one of its geometries."""
        return self.crs

    def want(self, names: set[str]) -> None:  # noqa: B027 - most have nothing to spare
        """``names`` are the columns that a feed asks for."""

    def recounted(self) -> int:
        """``features`` counted row by row, where the file only tells a number of them."""
        return self.features

    @abstractmethod
    def tables(self, rows: int) -> Generator[pa.Table]:
        """All rows, about ``rows`` at a time, in the file's order; geometry as WKB columns.

        At the end ``seen`` must have come to ``features``, or the file is damaged.
        """


class Dataset(Protocol):
    """One file (or folder) that a reader can open."""

    @property
    def driver(self) -> str:
        """The format, by GDAL's name for it."""

    @property
    def sheets(self) -> list[str]:
        """The names of its layers."""

    @property
    def told(self) -> Told:
        """What it says of the encoding of its text, or shows of it."""

    def layer(self, sheet: str, encoding: str | None) -> Layer:
        """The layer ``sheet``; ``encoding`` is that of its texts where the file does not say it."""


def wkb_field(name: str) -> pa.Field:
    """The schema's entry for a geometry column."""
    return pa.field(name, pa.binary(), metadata=_WKB_MARK)


def is_wkb(column: pa.Field) -> bool:
    """Whether a column is a geometry."""
    return (column.metadata or {}).get(b"ARROW:extension:name", b"").decode() in _WKB_NAMES


@contextmanager
def explained(label: str, heard: set[str], *, open_text: bool = True) -> Iterator[None]:
    """Turns a reader's errors into one line, and adds its warnings to ``heard``.

    ``open_text``: the format leaves the encoding of its text open, so that it can be declared.
    """
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            yield
        except READ_ERRORS as error:
            if isinstance(error, UnicodeError) or _NOT_DECODED.search(str(error)):
                raise _not_decoded(label, open_text=open_text) from None
            if "not recognized as being in a supported" in str(error):
                raise ArrivalError(
                    "is in no format that is read here",
                    where=label,
                    todo="Ask for GeoPackage, zipped Shapefile, GeoJSON or CSV.",
                ) from None
            if "database is locked" in str(error):
                raise ArrivalError(
                    "is being written to by another program",
                    where=label,
                    todo="Load it again when it is closed there, or ask for a copy.",
                ) from None
            said = brief(error, label)
            raise ArrivalError(
                f"cannot be read: {said}", where=label, todo="Ask for it again."
            ) from None
    heard.update(brief(str(item.message), label) for item in warned)


def _not_decoded(label: str, *, open_text: bool) -> ArrivalError:
    if not open_text:
        return ArrivalError(
            "holds text that is not UTF-8, as it must be in this format",
            where=label,
            todo="Ask for it again, written as UTF-8.",
        )
    return ArrivalError(
        "its text is not in the encoding that is declared or was detected",
        where=label,
        todo="Declare the right encoding in the feed's [source], such as CP1256.",
    )


def brief(error: object, label: str) -> str:
    """What a library says, on one line, without the folders of this machine or of its own."""
    said = _OURS.sub("", _SOURCE_PLACE.sub("", " ".join(str(error).split())))
    for part in said.replace("'", " ").replace('"', " ").replace(";", " ").split():
        if "/" in part and part.rstrip(".,:").endswith(label.rsplit("/", 1)[-1]):
            said = said.replace(part.rstrip(".,:"), label)
    said = said.rstrip(" .;,:")
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
