"""Answers as documents: a page and a PDF of the same template, with a map and a receipt."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import orjson
import rfc8785
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from pipeline.answers import formulas
from pipeline.answers.receipts import RECEIPT
from pipeline.answers.registrar import about
from pipeline.contracts.process import Document, Process
from pipeline.contracts.registry import LAYERS, Schemas
from pipeline.documents import drawing, qr, route
from pipeline.documents.pdf import BusyError, Job
from pipeline.documents.sheet import Sheet, scales_from
from pipeline.serve import answers, links, raster_image
from pipeline.serve.documents import FORMS as PLAIN
from pipeline.serve.errors import unavailable
from pipeline.serve.links import CSV, PDF
from pipeline.serve.press import Press
from pipeline.serve.raster_source import Source, crs_of
from pipeline.serve.raster_view import view

FORMS = {**PLAIN, "pdf": (PDF, "This document as PDF")}
#: What is about many things at once is a table too.
TABLES = {**PLAIN, "csv": (CSV, "This document as CSV")}
#: What is printed cannot show more: 10 pixels a millimetre are 254 dpi.
_PIXELS_MM = 10.0


def forms(process: Process) -> dict[str, tuple[str, str]]:
    """The formats in which the answer of ``process`` is offered: media type and title of each."""
    if process.batch:
        return TABLES
    return FORMS if process.document else PLAIN


@dataclass(frozen=True, slots=True)
class Paper:
    """``answer`` of ``process`` as a ``document``, in the format ``form`` (html or pdf)."""

    press: Press
    process: Process
    document: Document
    answer: dict[str, Any]
    form: str
    language: str
    scale: int

    @property
    def receipt(self) -> dict[str, Any]:
        """The receipt of the answer."""
        found: dict[str, Any] = self.answer[RECEIPT]
        return found

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"{self.process.id}-{self.receipt['number']}"


async def respond(wanted: Paper) -> Response:
    """The document."""
    if wanted.form == "html":
        return answers.html(await _page(wanted), wanted.language)
    try:
        made = await pdf(wanted)
    except BusyError:
        raise unavailable("too many PDFs are being made; try again in a moment") from None
    named = f'inline; filename="{wanted.name}.pdf"'
    headers = {"Content-Disposition": named, "Content-Language": wanted.language}
    return answers.data(made, PDF, headers)


async def pdf(wanted: Paper) -> bytes:
    """The document as PDF; raises BusyError."""
    digest = bytes.fromhex(wanted.receipt["digest"].partition(":")[2])
    attached = (f"{wanted.name}.json", rfc8785.dumps(wanted.answer))
    return await wanted.press.printer.pdf(Job(await _page(wanted), digest, attached))


async def _page(wanted: Paper) -> str:
    """The document as HTML; what it says is kept first, so that it can be verified."""
    press, content = wanted.press, await _content(wanted)
    await press.write(*press.registrar.kept(wanted.answer))
    template = f"papers/{wanted.document.template}.html"
    return await run_in_threadpool(press.pages.render, template, content, wanted.language)


async def _content(wanted: Paper) -> dict[str, Any]:
    """All that the template says: the answer by the contract's own names, and its words."""
    press, document, language = wanted.press, wanted.document, wanted.language
    city, receipt = press.schemas.city, wanted.receipt
    said = _renamed(wanted.answer, {name: column for column, name in city.names.items()})
    return {
        "id": wanted.process.id,
        "title": wanted.process.title.of(language),
        "code": _called(document, said),
        "printed": wanted.form == "pdf",
        "links": _links(wanted),
        "provider": city.provider.of(language),
        "crs": f"EPSG:{city.srid}",
        "answer": said,
        "receipt": receipt,
        "qr": qr.path(receipt["verify"]),
        "verify_page": receipt["verify"].partition("/execution")[0],
        "backdrop": document.backdrop,
        **await _maps(wanted, said),
        **_words(press, language),
        "terms": _terms(wanted),
        "worked": _worked(said),
    }


def _called(document: Document, said: dict[str, Any]) -> Any:
    """What the subject of the document is called."""
    return (about(said, document.by) if document.by else said).get(document.called)


async def _maps(wanted: Paper, said: dict[str, Any]) -> dict[str, Any]:
    """The maps of the document with what they are drawn over, and how many there would be."""
    press, document, language = wanted.press, wanted.document, wanted.language
    scales, size = scales_from(wanted.scale), document.map_mm
    asked = wanted.receipt["asked"]
    around = await press.registrar.surroundings(wanted.process, asked, scales, size)
    land = press.schemas.city.parcel_code.land_parts or 0
    if document.draws == "route":
        drawn = await run_in_threadpool(route.drawn, around, size, language, land)
        several = [{"drawing": one, "labels": one.labels, "picture": None} for one in drawn]
        return {"maps": several, "raster": None, "blocks": around["blocks"]}
    made = drawing.drawn(around, size, language, land)
    labels = [*made.labels, *drawing.corner_labels(made, said.get("corners") or [])]
    name = document.backdrop
    picture = await run_in_threadpool(_picture, press, name, made.sheet) if name else None
    maps: list[dict[str, Any]] = [{"drawing": made, "labels": labels, "picture": picture}]
    return {"maps": maps, "raster": press.schemas.raster(name).title.of(language) if name else None}


def _terms(wanted: Paper) -> dict[str, str]:
    """What the variables and parameters of its formulas are called."""
    name = wanted.process.formulas
    if name is None:
        return {}
    titles = formulas.named(wanted.press.schemas.root, name).titles
    return {term: title.of(wanted.language) for term, title in titles.items()}


def _worked(said: dict[str, Any]) -> dict[str, str]:
    """How the one property that the answer is about was reckoned, line by line."""
    items = said.get("items") or []
    if len(items) != 1 or not items[0].get("lines"):
        return {}
    return formulas.with_numbers(items[0], said["parameters"])


def _links(wanted: Paper) -> list[links.Link]:
    asked = {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in wanted.receipt["asked"].items()
    }
    path = f"{wanted.press.base}/processes/{wanted.process.id}/execution"
    return links.documents(path, asked, FORMS, wanted.form, wanted.language)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(name, name): _renamed(inner, names) for name, inner in value.items()}
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value


def _picture(press: Press, backdrop: str, sheet: Sheet) -> str | None:
    """The photo under the map as a data URL, no sharper than it was taken; None without one."""
    source = Source(press.settings.home, backdrop)
    if source.served() is None:
        return None
    with source.opened() as dataset:
        taken = abs(dataset.transform.a) * sheet.mm  # a pixel of the photo, in mm of paper
        dots = min(_PIXELS_MM, 1.0 / max(taken, 1e-6))
        size = (max(1, round(sheet.width * dots)), max(1, round(sheet.height * dots)))
        found = view(dataset, sheet.bounds, crs_of(press.schemas.city.srid), size)
    if not found.known.any():
        return None
    photo = raster_image.encode(found.values, found.known, "jpeg")
    return f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}"


def _words(press: Press, language: str) -> dict[str, Any]:
    """Titles of fields, and what the codes of their lists mean, from the contracts."""
    key = ("papers", language)
    if key not in press.static:
        press.static[key] = _of_contracts(press.schemas, language)
    found: dict[str, Any] = press.static[key]
    return found


def _of_contracts(schemas: Schemas, language: str) -> dict[str, Any]:
    titles: dict[str, str] = {}
    codes: dict[str, dict[str, str]] = {}
    for field in (field for layer in schemas.layers.values() for field in layer.fields):
        titles.setdefault(field.name, field.title.of(language))
        listed = schemas.codes(field)
        if listed:
            meant = {code: text.of(language) for code, text in listed.entries.items()}
            if field.codelist == LAYERS:
                meant |= {one.id: one.title.of(language) for one in schemas.rasters.values()}
            codes.setdefault(field.name, meant)
    return {"titles": titles, "codes": codes}
