"""The paths of the catalogue (OGC API - Records)."""

from __future__ import annotations

from typing import Any

from pipeline.derive.openapi_parts import get, json_of, limit, place, ref, text, words

#: The id of the collection of records.
CATALOGUE = "catalogue"
PAGE, MOST = 100, 1000
_GEOJSON = "application/geo+json"


def catalogue() -> dict[str, Any]:
    """The catalogue, its records and the search among them."""
    here, page = f"/collections/{CATALOGUE}", [ref("f"), ref("lang")]
    lists = [words(name) for name in ("q", "type", "ids", "externalIds")]
    values = [text(name) for name in ("title", "license")]
    order = words("sortby", pattern="[+|-]?[A-Za-z_].*")
    paged = [limit(PAGE, MOST), ref("offset")]
    filters = [ref(name) for name in ("filter", "filter-lang", "filter-crs")]
    asked = [*page, *lists, *values, ref("bbox"), ref("datetime"), *filters, order, *paged]
    html = {"text/html": {"schema": {"type": "string"}}}
    many = {**json_of("featureCollection", _GEOJSON), **html}
    one = {**json_of("anything", _GEOJSON), **html}
    told = json_of("anything", "application/schema+json")
    single = [place("recordId"), *page]
    tag = "service"
    return {
        here: get(tag, "catalogue", "What is published", page, json_of("collection")),
        f"{here}/items": get(tag, "records", "Records, by search", asked, many),
        **{
            f"{here}/{name}": get(tag, f"record-{name}", title, page, told)
            for name, title in (
                ("sortables", "What records are sorted by"),
                ("queryables", "What records are asked for by"),
            )
        },
        f"{here}/items/{{recordId}}": get(tag, "record", "One record", single, one),
    }
