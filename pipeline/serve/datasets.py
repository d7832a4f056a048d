"""What a reader must know of a dataset before using it: of when it is, in which CRS, how it can be
had (with checksums), and where its quality is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from psycopg import sql
from starlette.requests import Request

from pipeline.contracts.raster import ServedRaster
from pipeline.db import queries
from pipeline.derive import views
from pipeline.serve import downloads, links
from pipeline.serve.answers import site_of
from pipeline.serve.items import FORMATS
from pipeline.serve.links import HTML, JSON, SCHEMA
from pipeline.serve.query import Statement
from pipeline.serve.raster_source import Source
from pipeline.serve.site import Site

_SHA256 = "sha256"
Part = dict[str, Any]


@dataclass(frozen=True)
class Known:
    """What changes with the data: when each layer was written last, and what is served of
    rasters, both by the collection's id; the state of each layer, and the versions of rasters."""

    updated: dict[str, str]
    rasters: dict[str, ServedRaster]
    states: dict[str, str]
    versions: frozenset[str]


async def known(site: Site) -> Known:
    """What is known now; raises what the database raises."""
    view = sql.Identifier(site.audience.schema_name, views.SOURCE)
    asked = sql.SQL(queries.load("answers")["dates"]).format(view=view).as_bytes(None)
    row = await site.features.row(Statement(asked, {}))
    dates: dict[str, str] = orjson.loads(row[0]) if row else {}
    newest = max(dates.values(), default=None)
    updated = {}
    for name, one in site.served.items():
        # Nobody knows what a view reads: it may be as new as anything.
        date = newest if one.layer.source in ("view", "log") else dates.get(one.layer.id)
        if date is not None:
            updated[name] = date
    rasters, versions = {}, set()
    for contract in site.schemas.rasters.values():
        served = Source(site.settings.home, contract.id).served()
        versions.add(served.version if served else "")
        if served is not None and contract.collection in site.config["resources"]:
            rasters[contract.collection] = served
            updated[contract.collection] = served.updated
    return Known(updated, rasters, await site.state.all(), frozenset(versions))


async def state(request: Request) -> str:
    """Stands for everything that is told of datasets."""
    site = site_of(request)
    made = [one.sha256 for one in downloads.offered(site.settings).values()]
    rasters = [Source(site.settings.home, name).version() or "" for name in site.schemas.rasters]
    return " ".join([await site.state.whole(), *made, *rasters])


def whole(site: Site, record: Part, known: Known, language: str) -> Part:
    """The record of a dataset with its date, its CRSs and every way to have it."""
    name, found = record["id"], record["links"]
    own = [link for link in found if link["rel"] not in ("items", "enclosure")]
    title = site.config["resources"][name]["title"][language]
    files = [{**link, "title": title} for link in found if link["rel"] == "enclosure"]
    ways = [
        *raster_files(files, known.rasters.get(name)),
        *distributions(site, name, known, language),
    ]
    told = {
        **properties(site, name, known, language),
        "formats": [{"mediaType": link["type"]} for link in ways],
    }
    return {
        **record,
        "properties": {**record["properties"], **told},
        "links": [*own, *ways, *about(site, name, language)],
    }


def properties(site: Site, name: str, known: Known, language: str) -> Part:
    """What the record of the collection ``name`` tells beside its texts."""
    told: Part = {"rights": site.config["metadata"]["license"]["name"][language]}
    if name in known.updated:
        told["updated"] = known.updated[name]
    told["crs"] = crs_of(site, name)
    return told


def crs_of(site: Site, name: str) -> list[str]:
    """The CRSs in which the collection can be had, the one of the stored coordinates first."""
    providers = site.config["resources"][name]["providers"]
    stored = site.schemas.city.crs_uri
    found = [uri for provider in providers for uri in provider.get("crs", [])]
    return list(dict.fromkeys([stored, *found]))


def distributions(site: Site, name: str, known: Known, language: str) -> list[Part]:
    """Every file that the collection can be had as: first those that are made, with checksums,
    then those that are made when they are asked for."""
    made = [
        _made(site, one, known, language)
        for one in downloads.offered(site.settings).values()
        if one.of == name
    ]
    if name in known.rasters:
        return made  # its file is among the links of the collection
    here = f"{site.base}/collections/{name}/items"
    asked = [
        links.link("items", kind, title, f"{here}?f={form}", language)
        for form, (kind, title) in FORMATS.items()
        if form not in ("html", "jsonfg")
        and (form in ("json", "csv", "parquet") or _shaped(site, name))
    ]
    return [*made, *asked]


def _shaped(site: Site, name: str) -> bool:
    return name in site.served and site.served[name].has_geometry


def _made(site: Site, one: downloads.Download, known: Known, language: str) -> Part:
    """A file that is made: of when it is, and whether its data are still those of today."""
    title = "GeoPackage" if one.name == f"{one.of}{downloads.SUFFIX}" else "Extract"
    loads = [loaded for _, loaded in one.loads.values()]
    return {
        **links.link(
            "enclosure",
            one.media_type,
            f"{links.said(title, language)} {one.name}",
            f"{site.base}/files/{one.name}",
            language,
        ),
        "length": one.bytes,
        "updated": one.made,
        **({"dataUpdated": max(loads)} if loads else {}),
        "current": downloads.current(site, one, known.states, known.versions),
        "checksum": checksum(one.sha256),
    }


def checksum(digest: str) -> Part:
    """A SHA-256 as links tell it."""
    return {"algorithm": _SHA256, "value": digest}


def raster_files(found: list[Part], served: ServedRaster | None) -> list[Part]:
    """The links of a raster's own file, with its checksum and date."""
    if served is None:
        return found
    more = {"checksum": checksum(served.version), "updated": served.updated}
    return [{**link, **more} for link in found]


def about(site: Site, name: str, language: str) -> list[Part]:
    """Where licence, quality and fields are told."""
    here = f"{site.base}/collections/{name}"
    licence = site.config["metadata"]["license"]
    return [
        {
            "rel": "license",
            "type": HTML,
            "title": licence["name"][language],
            "href": licence["url"],
        },
        links.link("describedby", HTML, "Quality", f"{here}/quality?f=html", language),
        links.link("describedby", JSON, "Quality", f"{here}/quality?f=json", language),
        links.link("describedby", SCHEMA, "Fields", f"{here}/schema?f=json", language),
    ]
