"""GML: GDAL reads it, told by us which geometry properties a feature has.

Left alone, GDAL takes for the geometry whatever it met last in a feature: a building with a label
point becomes a point. Expat looks through the file first, and GDAL's schema of it (.gfs) is written
anew with every geometry property. It is read through a link in a folder of ours, so that GDAL
writes there; a .gfs or .xsd that came with it is not believed, and a DTD is refused.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pyogrio

from pipeline.errors import ArrivalError, ResourceError
from pipeline.stages.container import Opened
from pipeline.stages.readers.base import Layer, brief
from pipeline.stages.readers.gdal import GdalDataset, offline

_KINDS = {
    "Point": "Point", "MultiPoint": "MultiPoint",
    "LineString": "LineString", "Curve": "LineString", "CompositeCurve": "LineString",
    "OrientableCurve": "LineString", "MultiCurve": "MultiLineString",
    "MultiLineString": "MultiLineString",
    "Polygon": "Polygon", "Surface": "MultiPolygon", "CompositeSurface": "MultiPolygon",
    "OrientableSurface": "Polygon", "MultiSurface": "MultiPolygon", "MultiPolygon": "MultiPolygon",
    "PolyhedralSurface": "MultiPolygon", "TriangulatedSurface": "MultiPolygon",
    "Tin": "MultiPolygon",
    "Solid": "Unknown", "MultiSolid": "Unknown", "MultiGeometry": "Unknown",
    "GeometricComplex": "Unknown",
}  # fmt: skip
_NAMESPACE = "http://www.opengis.net/gml"
_BLOCK = 2**20
# What GDAL's schema says of a class's one geometry.
_SINGLE = ("GeometryName", "GeometryElementPath", "GeometryType", "GeomPropertyDefn")


@dataclass
class _Class:
    """What was met of one feature class: geometry properties by their paths."""

    features: int = 0
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    repeated: set[str] = field(default_factory=set)
    systems: set[str] = field(default_factory=set)

    def names(self) -> dict[str, str]:
        """A name for each path: its last element, all of them where that is not enough."""
        last = Counter(path.rsplit("|", 1)[-1] for path in self.kinds)
        short = {path: path.rsplit("|", 1)[-1] for path in self.kinds}
        return {
            path: name if last[name] == 1 else path.replace("|", "_")
            for path, name in short.items()
        }

    def kind(self, path: str) -> str:
        """The type of all geometries at ``path``; Unknown where they differ in more than number."""
        met = set(self.kinds[path])
        if len(met) == 1:
            return met.pop()
        bare = {one.removeprefix("Multi") for one in met}
        return f"Multi{bare.pop()}" if len(bare) == 1 else "Unknown"


class GmlDataset(GdalDataset):
    """A GML file with all geometry properties of its features."""

    def __init__(self, arrival: Opened) -> None:
        """Two ways through the file: GDAL's, which finds the classes, and expat's."""
        super().__init__(arrival)
        link = arrival.folder / "gml" / arrival.place.with_suffix(".gml").name
        link.parent.mkdir(exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(arrival.place)
        self.place = str(link)
        _refuse_dtd(link, self.label)
        with offline(self.label, self.heard):
            pyogrio.list_layers(self.place)
        self._classes: dict[str, _Class] = {}
        schema = link.with_suffix(".gfs")
        if schema.exists():
            self._describe(schema)
        else:  # GDAL goes on with what it could read of a file that is cut
            _Scan(set()).through(link, self.label)

    def _describe(self, schema: Path) -> None:
        """Writes GDAL's schema anew."""
        try:
            tree = ET.parse(schema)  # noqa: S314 - GDAL has just written it
        except ET.ParseError:
            raise ResourceError(
                "there is no room for the schema that is made of it",
                where=self.label,
                todo="Free disk space, or set TMPDIR to another place.",
            ) from None
        found = {
            _text(one, "ElementPath").rsplit("|", 1)[-1]: one
            for one in tree.getroot().iter("GMLFeatureClass")
        }
        met = _Scan(set(found)).through(Path(self.place), self.label)
        for name, one in found.items():
            self._classes[_text(one, "Name")] = met[name]
            _as_written(one)
            if met[name].kinds:
                _with_geometries(one, met[name])
        tree.write(schema, encoding="utf-8")

    def layer(self, sheet: str, encoding: str | None) -> Layer:
        """The class ``sheet``, its features as expat counts them."""
        layer = super().layer(sheet, encoding)
        met = self._classes.get(sheet)
        if met is None:
            return layer
        names = met.names()
        layer.geometries = {name: met.kind(path) for path, name in names.items()}
        layer.features = met.features
        layer.heard |= {
            f"{names[path]} stands several times in a feature; one of them is read"
            for path in met.repeated
        }
        return layer


def _text(parent: ET.Element, name: str) -> str:
    return parent.findtext(name) or ""


def _as_written(described: ET.Element) -> None:
    """Every value as text: what GDAL takes for a number has lost its leading zeros, what it takes
    for a date is another day where that month has fewer. A feature's box is none of its values."""
    for one in described.findall("PropertyDefn"):
        if _text(one, "ElementPath").startswith("boundedBy|"):
            described.remove(one)
            continue
        for told in one.findall("Type"):
            told.text = "StringList" if (told.text or "").endswith("List") else "String"
        for tag in ("Subtype", "Width", "Precision"):
            for told in one.findall(tag):
                one.remove(told)


def _with_geometries(described: ET.Element, met: _Class) -> None:
    """Every geometry property in the place of the one that GDAL has chosen.

    Their type is left open, or pyogrio would stream none that has curves.
    """
    for old in [one for one in described if one.tag in _SINGLE]:
        described.remove(old)
    place = [one.tag for one in described].index("ElementPath") + 1
    for number, (path, name) in enumerate(met.names().items()):
        made = ET.Element("GeomPropertyDefn")
        for tag, text in (("Name", name), ("ElementPath", path), ("Type", "Unknown")):
            ET.SubElement(made, tag).text = text
        described.insert(place + number, made)
    if described.find("SRSName") is None and len(met.systems) == 1:
        ET.SubElement(described, "SRSName").text = next(iter(met.systems))


class _Scan:
    """One way through the file, element by element."""

    def __init__(self, classes: set[str]) -> None:
        self.met = {name: _Class() for name in classes}
        self.path: list[str] = []
        self.current: _Class | None = None
        self.depth = 0
        self.inside = 0
        self.here: set[str] = set()

    def through(self, path: Path, label: str) -> dict[str, _Class]:
        """The classes with what was met of them."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            with path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    parser.Parse(block, False)  # noqa: FBT003 - it takes no names
                parser.Parse(b"", True)  # noqa: FBT003
        except expat.ExpatError as error:
            raise ArrivalError(
                f"cannot be read: {brief(error, label)}", where=label, todo="Ask for it again."
            ) from None
        return self.met

    def _start(self, name: str, attributes: dict[str, Any]) -> None:
        space, _, bare = name.rpartition(" ")
        self.path.append(bare)
        if self.current is None:
            self.current = self.met.get(bare)
            if self.current is not None:
                self.current.features += 1
                self.depth = len(self.path)
                self.here = set()
        elif self.inside:
            self.inside += 1
        elif bare in _KINDS and space.startswith(_NAMESPACE):
            self.inside = 1
            self._geometry(_KINDS[bare], attributes.get("srsName"))

    def _geometry(self, kind: str, system: str | None) -> None:
        if self.current is None:
            return
        path = "|".join(self.path[self.depth : -1])
        if not path:
            return
        self.current.kinds.setdefault(path, Counter())[kind] += 1
        if path in self.here:
            self.current.repeated.add(path)
        self.here.add(path)
        if system:
            self.current.systems.add(system)

    def _end(self, _: str) -> None:
        if self.inside:
            self.inside -= 1
        elif self.current is not None and len(self.path) == self.depth:
            self.current = None
        self.path.pop()


def _refuse_dtd(path: Path, label: str) -> None:
    """No entities, neither from elsewhere nor endless ones."""

    def refuse(*_: object) -> None:
        raise ArrivalError(
            "has a document type definition, which may call other files or hosts",
            where=label,
            todo="Ask for it without the <!DOCTYPE> at its beginning.",
        )

    def stop(*_: object) -> None:
        raise StopIteration

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = stop
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except (StopIteration, expat.ExpatError):
        return
