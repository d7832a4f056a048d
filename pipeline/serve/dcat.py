"""The catalogue as DCAT 3 in JSON-LD, for portals of open data that harvest it.

Every term is written out by a context of its own, so that no reader needs another host.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import shapely

from pipeline.serve.site import Site

Part = dict[str, Any]
CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "dqv": "http://www.w3.org/ns/dqv#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "locn": "http://www.w3.org/ns/locn#",
    "geosparql": "http://www.opengis.net/ont/geosparql#",
}
_MEDIA = "http://www.iana.org/assignments/media-types/"


def catalogue(site: Site, address: str, records: Iterable[Part], language: str) -> Part:
    """Records of datasets as a dcat:Catalog; other records are dcat:DataService."""
    identity = site.config["metadata"]["identification"]
    parts = list(records)
    datasets = [one for one in parts if one["properties"]["type"] == "dataset"]
    services = [one for one in parts if one["properties"]["type"] != "dataset"]
    return {
        "@context": CONTEXT,
        "@id": address,
        "@type": "dcat:Catalog",
        "dct:title": _said(identity["title"][language], language),
        "dct:description": _said(identity["description"][language], language),
        "dct:publisher": _publisher(site, language),
        "dct:license": {"@id": site.config["metadata"]["license"]["url"]},
        "dct:language": list(site.languages),
        "dcat:dataset": [_dataset(site, one, address, language) for one in datasets],
        "dcat:service": [_service(one, address, language) for one in services],
    }


def _said(text: str, language: str) -> Part:
    return {"@value": text, "@language": language}


def _publisher(site: Site, language: str) -> Part:
    provider = site.config["metadata"]["provider"]
    name = provider["name"]
    said = name[language] if isinstance(name, dict) else name
    return {"@type": "foaf:Organization", "foaf:name": _said(said, language)}


def _common(record: Part, address: str, language: str) -> Part:
    told = record["properties"]
    return {
        "@id": f"{address}/{record['id']}",
        "dct:identifier": record["id"],
        "dct:title": _said(told["title"], language),
        "dct:description": _said(told["description"], language),
        "dcat:keyword": [_said(word, language) for word in told["keywords"]],
        "dct:license": {"@id": told["license"]},
    }


def _service(record: Part, address: str, language: str) -> Part:
    about = next(link["href"] for link in record["links"] if link["rel"] == "about")
    kind = {"@type": "dcat:DataService", "dcat:endpointDescription": {"@id": about}}
    run = next(link["href"] for link in record["links"] if link["rel"].endswith("/execute"))
    return {**_common(record, address, language), **kind, "dcat:endpointURL": {"@id": run}}


def _dataset(site: Site, record: Part, address: str, language: str) -> Part:
    told, found = record["properties"], record["links"]
    quality = [one["href"] for one in found if one["href"].endswith("/quality?f=html")]
    made: Part = {
        **_common(record, address, language),
        "@type": "dcat:Dataset",
        "dct:publisher": _publisher(site, language),
        "dct:conformsTo": [{"@id": uri} for uri in told["crs"]],
        "dct:spatial": {
            "@type": "dct:Location",
            "dcat:bbox": {
                "@type": "geosparql:wktLiteral", "@value": shapely.to_wkt(_shape(record))
            },
        },
        "foaf:page": [{"@id": one} for one in quality],
        "dqv:hasQualityMetadata": [{"@id": one} for one in quality],
        "dcat:distribution": [
            _distribution(one, told["license"]) for one in found
            if one["rel"] in ("items", "enclosure")
        ],
    }  # fmt: skip
    if "updated" in told:
        made["dct:modified"] = _moment(told["updated"])
    return made


def _shape(record: Part) -> shapely.Geometry:
    return shapely.geometry.shape(record["geometry"])


def _moment(text: str) -> Part:
    return {"@type": "xsd:dateTime", "@value": text}


def _distribution(link: Part, licence: str) -> Part:
    kind = link["type"].split(";")[0]
    made: Part = {
        "@type": "dcat:Distribution",
        "dct:title": link["title"],
        "dcat:mediaType": {"@id": f"{_MEDIA}{kind}"},
        "dcat:accessURL": {"@id": link["href"]},
        "dct:license": {"@id": licence},
    }
    if link["rel"] == "enclosure":
        made["dcat:downloadURL"] = {"@id": link["href"]}
    if "length" in link:
        made["dcat:byteSize"] = {"@type": "xsd:nonNegativeInteger", "@value": str(link["length"])}
    if "updated" in link:  # of a file: of when its data are, not when it was written
        made["dct:modified"] = _moment(link.get("dataUpdated") or link["updated"])
    if "checksum" in link:
        made["spdx:checksum"] = {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": {"@type": "xsd:hexBinary", "@value": link["checksum"]["value"]},
        }
    return made
