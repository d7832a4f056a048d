"""Links of answers: addresses, relations and titles in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

JSON, HTML = "application/json", "text/html"
PDF = "application/pdf"
CSV = "text/csv; charset=utf-8"
JSONFG = "application/vnd.ogc.fg+json"
JSONLD, GEOJSON, SCHEMA = "application/ld+json", "application/geo+json", "application/schema+json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
OGC = "http://www.opengis.net/def/rel/ogc/1.0"

Link = dict[str, str]
#: Bytes of the header Link; proxies take 4 or 8 kB of all headers unless they are told otherwise.
_LONGEST = 3000

_FA = {
    "This document as JSON": "این سند به صورت JSON",
    "This document as GeoJSON": "این سند به صورت GeoJSON",
    "This document as JSON-FG": "این سند به صورت JSON-FG",
    "This document as GML": "این سند به صورت GML",
    "This document as JSON-LD": "این سند به صورت JSON-LD",
    "This document as HTML": "این سند به صورت HTML",
    "This document as PDF": "این سند به صورت PDF",
    "This document as CSV": "این سند به صورت CSV",
    "This document as FlatGeobuf": "این سند به صورت FlatGeobuf",
    "This document as GeoParquet": "این سند به صورت GeoParquet",
    "The OpenAPI definition as JSON": "تعریف OpenAPI به صورت JSON",
    "The OpenAPI definition as HTML": "تعریف OpenAPI به صورت HTML",
    "Conformance": "انطباق با استانداردها",
    "Catalogue": "فهرست داده‌ها",
    "Sortables": "آنچه ترتیب بر پایهٔ آن است",
    "Queryables": "آنچه می‌توان پرسید",
    "Collections": "لایه‌های داده",
    "Maps of several layers": "نقشه‌های چندلایه",
    "Styles": "سبک‌ها",
    "Map": "نقشه",
    "Tile grids": "شبکه‌های کاشی",
    "Processes": "پردازش‌ها",
    "This process": "این پردازش",
    "Execution": "اجرا",
    "JSON Schema of the answer": "طرح JSON پاسخ",
    "The answer": "پاسخ",
    "Jobs": "کارها",
    "This document as RDF (DCAT)": "این سند به صورت RDF (DCAT)",
    "Quality": "کیفیت",
    "Fields": "فیلدها",
    "Extract": "برداشت",
    "The whole city": "همه شهر",
    "Next page": "صفحه بعد",
    "Previous page": "صفحه قبل",
    # What pygeoapi calls its own.
    "This document as RDF (JSON-LD)": "این سند به صورت RDF (JSON-LD)",
    "The landing page of this server as JSON": "صفحه نخست این سرور به صورت JSON",
    "The landing page of this server as HTML": "صفحه نخست این سرور به صورت HTML",
    "Schema of collection in JSON": "فیلدهای لایه به صورت JSON",
    "Schema of collection in HTML": "فیلدهای لایه به صورت HTML",
    "Queryables for this collection as JSON": "فیلترهای لایه به صورت JSON",
    "Queryables for this collection as HTML": "فیلترهای لایه به صورت HTML",
    "Items as GeoJSON": "رکوردها به صورت GeoJSON",
    "Items as RDF (GeoJSON-LD)": "رکوردها به صورت RDF (GeoJSON-LD)",
    "Items as HTML": "رکوردها به صورت HTML",
    "Items as CSV": "رکوردها به صورت CSV",
    "Tiles as JSON": "کاشی‌ها به صورت JSON",
    "Tiles as HTML": "کاشی‌ها به صورت HTML",
    "Vector tiles": "کاشی‌های برداری",
    "Coverage data": "داده شبکه‌ای",
    "Coverage data as GTiff": "داده شبکه‌ای به صورت GeoTIFF",
    "Map as png": "نقشه به صورت PNG",
    "position query for this collection as JSON": "مقدار در یک نقطه به صورت JSON",
    "position query for this collection as HTML": "مقدار در یک نقطه به صورت HTML",
    "trajectory query for this collection as JSON": "مقدارها در طول یک خط به صورت JSON",
    "trajectory query for this collection as HTML": "مقدارها در طول یک خط به صورت HTML",
}


def said(title: str, language: str) -> str:
    """``title`` in ``language``."""
    return _FA.get(title, title) if language == "fa" else title


def link(rel: str, kind: str, title: str, href: str, language: str) -> Link:
    """One link of a document."""
    return {"rel": rel, "type": kind, "title": said(title, language), "href": href}


def address(path: str, given: Mapping[str, str]) -> str:
    """``path`` with the query ``given``."""
    return f"{path}?{_query(given)}" if given else path


def _query(given: Mapping[str, str]) -> str:
    pairs = (f"{quote(name, safe='')}={quote(value, safe=',:/')}" for name, value in given.items())
    return "&".join(pairs)


def documents(
    path: str,
    given: Mapping[str, str],
    formats: Mapping[str, tuple[str, str]],
    form: str,
    language: str,
) -> list[Link]:
    """The document itself and its other formats (``formats``: f -> media type, title)."""
    # What all of them share is written once: there are many formats, and a page has few features.
    rest = _query({name: value for name, value in given.items() if name != "f"})
    tail = f"&{rest}" if rest else ""
    return [
        link(
            "self" if name == form else "alternate",
            kind,
            title,
            f"{path}?f={name}{tail}",
            language,
        )
        for name, (kind, title) in formats.items()
    ]


def header(links: list[Link]) -> str:
    """The HTTP header Link for the links that clients follow without reading the body; of those
    that a long filter makes long the first alone, since clients and proxies bound their headers."""
    told: list[str] = []
    for rel in ("next", "prev", "self"):
        for found in (one for one in links if one["rel"] == rel):
            link = f'<{found["href"]}>; rel="{rel}"; type="{found["type"]}"'
            if not told or len(", ".join([*told, link])) <= _LONGEST:
                told.append(link)
    return ", ".join(told)
