"""The accuracy report as one page and as PDF, in English or Persian, with a map of differences."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline import dates, paths
from pipeline.accuracy.numbers import ENOUGH, Accuracy
from pipeline.accuracy.picture import Sheet, sheet
from pipeline.accuracy.points import Points
from pipeline.documents import pdf
from pipeline.rasters.appearance import Appearance
from pipeline.rasters.seams import Seam

LANGUAGES = ("en", "fa")
_FOLDER = Path(__file__).parent / "templates"
_FONT_FACES = re.compile(r"@font-face *{[^}]*}")


@dataclass(frozen=True)
class Report:
    """All that is told of a product: differences at check points; how its sheets look and fit,
    where they are given. ``file`` is that of the product itself, for its picture under the map;
    ``zone`` the timezone of whoever reads it."""

    product: str
    made: str
    points: Points
    found: Accuracy
    looks: list[Appearance] = field(default_factory=list)
    blurred: list[str] = field(default_factory=list)
    seams: list[Seam] = field(default_factory=list)
    file: Path | None = None
    heights_above: str | None = None
    zone: str = "UTC"

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        points = self.points
        rows = zip(points.names, points.places.tolist(), points.differences.tolist(), strict=True)
        return {
            "product": self.product,
            "made": self.made,
            "heights_above": self.heights_above,
            **asdict(self.found),
            "left_out": points.left_out,
            "points": [{"point": name, "at": at, "difference": apart} for name, at, apart in rows],
            "sheets": [asdict(one) for one in self.looks],
            "blurred": self.blurred,
            "seams": [asdict(seam) for seam in self.seams],
        }


def page(report: Report, language: str, *, printed: bool = False) -> str:
    """A page that needs nothing else; texts of ``language`` (en, fa). ``printed``: for a PDF,
    whose style sheet comes from outside."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("accuracy.html").render(
        report=report, found=report.found, enough=ENOUGH, fa=language == "fa",
        map=_map(report), left_out=report.points.left_out,
        style=None if printed else _style(),
        day=dates.moment(report.made, language, report.zone),
    )  # fmt: skip


def printed(report: Report, languages: Sequence[str]) -> list[bytes]:
    """The report as PDF/A in each of ``languages``, its JSON inside."""
    content = orjson.dumps(report.plain(), option=orjson.OPT_SERIALIZE_NUMPY)
    jobs = [
        pdf.Job(
            page(report, language, printed=True),
            hashlib.sha256(content + language.encode()).digest(),
            ("accuracy.json", content),
        )
        for language in languages
    ]
    return asyncio.run(_printed(jobs))


async def _printed(jobs: list[pdf.Job]) -> list[bytes]:
    printer = pdf.Printer()
    try:
        return [await printer.pdf(job) for job in jobs]
    finally:
        printer.close()


def _map(report: Report) -> Sheet:
    return sheet(report.points.places, report.points.differences, report.file)


def _style() -> str:
    """The style sheet of documents, without fonts that would have to be fetched."""
    path = paths.server_files() / "static" / "css" / "paper.css"
    return _FONT_FACES.sub("", path.read_text(encoding="utf-8"))
