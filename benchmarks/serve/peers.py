"""The others: how each is installed, configured over the same view, started, and asked.

Each serves the view that Makan's public server reads, with two workers; by the owner's login, since
that of the server takes few connections and tipg writes functions of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import yaml

from benchmarks.serve import install
from benchmarks.serve.drive import Request
from benchmarks.serve.install import Unobtainable
from benchmarks.serve.peer import Peer, Place
from benchmarks.serve.sample import Box, Sample
from pipeline.derive.grids import Tile

_WORKERS = "2"
#: How many pages far from the first are asked for.
DEEP = 8
_FOLDER = Path(__file__).parent / "conf"


def query(**given: str | int) -> str:
    """A query string."""
    return "&".join(f"{name}={quote(str(value), safe=',:/')}" for name, value in given.items())


def box(found: Box) -> str:
    """As a parameter."""
    return ",".join(map(str, found))


def _items(path: str, work: str, sample: Sample, **always: str) -> list[Request] | None:
    """Requests that all OGC API Features servers take alike."""
    asked: list[dict[str, str | int]]
    if work in ("bbox100", "bbox1000"):
        limit = 100 if work == "bbox100" else 1000
        asked = [{"bbox": box(one), "limit": limit} for one in sample.boxes[limit]]
    elif work == "page":
        asked = [{"limit": 100}]
    elif work == "deep":
        asked = [{"limit": 100, "offset": sample.deep + number} for number in range(DEEP)]
    elif work == "one":
        return [Request(f"{path}/{number}?{query(**always)}") for number in sample.ids]
    else:
        return None
    return [Request(f"{path}?{query(**one, **always)}") for one in asked]


def filters(path: str, sample: Sample, function: str, **always: str) -> list[Request]:
    """The CQL2 filter on an attribute and a shape."""
    return [
        Request(
            f"{path}?"
            + query(
                filter=f"land_use = 'residential' AND {function}(geom, {shape})",
                limit=100,
                **always,
            )
        )
        for shape in sample.shapes
    ]


#: Works of tiles that each is asked for once, by level.
NOT_KEPT = ("z14", "z16", "z17")


def tiles(work: str, sample: Sample, path: Callable[[Tile], str]) -> list[Request] | None:
    """The tiles of a level, where the work is tiles that are not kept."""
    if work not in NOT_KEPT:
        return None
    return [Request(path(one)) for one in sample.tiles[int(work[1:])]]


def _python(name: str, *packages: str) -> Path:
    served_by = ("gunicorn", "uvicorn", "uvicorn-worker", "uvloop", "httptools")
    return install.python(name, *packages, *served_by)


def _gunicorn(python: Path, port: int, app: str) -> list[str]:
    words = [str(python), "-m", "gunicorn", app, "-w", _WORKERS, "-b", f"127.0.0.1:{port}"]
    return [*words, "-k", "uvicorn_worker.UvicornWorker", "--log-level", "error"]


def _stock_python() -> Path:
    return _python(
        "pygeoapi",
        *("pygeoapi==0.24.0", "starlette", "psycopg2-binary", "sqlalchemy", "geoalchemy2"),
        *("pygeofilter", "jsonpatch"),
    )


def _stock(place: Place, port: int) -> tuple[list[str], dict[str, str]]:
    """pygeoapi as its documentation has it, over its PostgreSQL provider."""
    config = yaml.safe_load((_FOLDER / "pygeoapi.yml").read_text())
    config["server"]["bind"]["port"] = port
    config["server"]["url"] = f"http://127.0.0.1:{port}"
    collection = config["resources"]["parcels"]
    collection["extents"]["spatial"]["bbox"] = list(place.box)
    uris = [
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        f"http://www.opengis.net/def/crs/EPSG/0/{place.srid}",
    ]
    provider = collection["providers"][0]
    provider |= {"table": place.view, "crs": uris, "storage_crs": uris[1]}
    provider["data"] = {
        **{name: place.parts[name] for name in ("host", "port", "dbname", "user", "password")},
        "search_path": [place.schema, "public"],
    }
    provider["data"]["port"] = int(provider["data"]["port"])
    path = place.folder / "pygeoapi.yml"
    path.write_text(yaml.safe_dump(config))
    environment = {
        "PYGEOAPI_CONFIG": str(path),
        "PYGEOAPI_OPENAPI": str(place.folder / "pygeoapi-openapi.yml"),
    }
    python = _stock_python()
    words = [str(python.with_name("pygeoapi")), "openapi", "generate", str(path)]
    made = subprocess.run(
        [*words, "--output-file", environment["PYGEOAPI_OPENAPI"]],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise Unobtainable(f"does not start: {made.stderr.strip().splitlines()[-1]}")
    return _gunicorn(python, port, "pygeoapi.starlette_app:APP"), environment


def _ask_stock(work: str, sample: Sample, place: Place) -> list[Request] | None:
    del place
    path = "/collections/parcels/items"
    if work == "count":
        asked = sample.boxes[1000]
        return [Request(f"{path}?{query(bbox=box(b), resulttype='hits', f='json')}") for b in asked]
    if work == "filter":
        return filters(path, sample, "S_INTERSECTS", **{"f": "json", "filter-lang": "cql2-text"})
    if work in ("landing", "collections"):
        return [Request(("/" if work == "landing" else "/collections") + "?f=html")]
    return _items(path, work, sample, f="json")


def _tipg(place: Place, port: int) -> tuple[list[str], dict[str, str]]:
    table = f"TIPG_TABLE_CONFIG__{place.schema}_{place.view}__"
    environment = {
        "DATABASE_URL": place.uri,
        "TIPG_DB_SCHEMAS": f'["{place.schema}"]',
        f"{table}pk": "id",
        f"{table}geomcol": "geom",
        "TIPG_MAX_FEATURES_PER_TILE": "60000",
        "TIPG_TILE_BUFFER": "64",
        "TIPG_CATALOG_TTL": "0",
        "TIPG_DB_TABLES": f'["{place.schema}.{place.view}"]',
    }
    return _gunicorn(_python("tipg", "tipg==1.6.1"), port, "tipg.main:app"), environment


def _ask_tipg(work: str, sample: Sample, place: Place) -> list[Request] | None:
    here = f"/collections/{place.schema}.{place.view}"
    path = f"{here}/items"
    if work == "count":
        return [Request(f"{path}?{query(bbox=box(b), limit=1)}") for b in sample.boxes[1000]]
    if work == "filter":
        return filters(path, sample, "S_INTERSECTS", **{"filter-lang": "cql2-text"})
    if work in ("landing", "collections"):
        return [Request(("/" if work == "landing" else "/collections") + "?f=html")]
    grid = f"{here}/tiles/WebMercatorQuad"

    def tile(one: Tile) -> str:
        named = ",".join(place.tile_fields[one.zoom])
        return f"{grid}/{one.zoom}/{one.column}/{one.row}?properties={named}"

    return tiles(work, sample, tile) or _items(path, work, sample)


def _mapserver_folder() -> Path:
    return install.debian("mapserver", "cgi-mapserver", "lighttpd")


def _mapserver(place: Place, port: int) -> tuple[list[str], dict[str, str]]:
    """mapserv as FastCGI behind lighttpd, the usual way."""
    folder, root = _mapserver_folder(), place.folder / "mapserver"
    root.mkdir(exist_ok=True)
    inner = {
        "connection": " ".join(
            f"{name}={place.parts[name]}" for name in ("host", "port", "dbname", "user", "password")
        ),
        "columns": ", ".join(("id", *place.fields)),
        "view": f"{place.schema}.{place.view}",
        "fields": ",".join(place.fields),
        **{
            f"z{zoom}_fields": ",".join(("id", *fields))
            for zoom, fields in place.tile_fields.items()
        },
        "srid": str(place.srid),
        "extent": " ".join(map(str, place.box)),
        "port": str(port),
        "root": str(root),
        "modules": str(next((folder / "usr" / "lib").glob("lighttpd"))),
        "mapserv": str(folder / "usr" / "bin" / "mapserv"),
        "templates": str(
            folder / "usr" / "share" / "mapserver" / "ogcapi" / "templates" / "html-plain"
        ),
        "workers": _WORKERS,
    }
    for name in ("parcels.map", "mapserver.conf", "lighttpd.conf"):
        text = (_FOLDER / name).read_text()
        for key, value in inner.items():
            text = text.replace(f"@{key}@", value)
        (root / name).write_text(text)
    environment = install.libraries(folder)
    environment["MAPSERVER_CONFIG_FILE"] = str(root / "mapserver.conf")
    words = [str(folder / "usr" / "sbin" / "lighttpd"), "-D", "-f", str(root / "lighttpd.conf")]
    return words, environment


def _ask_mapserver(work: str, sample: Sample, place: Place) -> list[Request] | None:
    del place
    path = "/mapserv/parcels/ogcapi/collections/parcels/items"
    if work in NOT_KEPT:
        # Tiles come by its own tile mode.
        layer = "z14" if work == "z14" else "z16"  # with the fields that ours have there
        always = f"/mapserv?map=PARCELS&mode=tile&tilemode=gmap&layers={layer}&map.imagetype=mvt"
        return tiles(work, sample, lambda t: f"{always}&tile={t.column}+{t.row}+{t.zoom}")
    if work in ("one", "deep"):
        return None  # it reads past all features for one, and its pages all begin at the first
    return _items(path, work, sample, f="json")


def _martin_program() -> Path:
    return install.cargo("martin", "1.14.0", "postgres")


def _martin(place: Place, port: int) -> tuple[list[str], dict[str, str]]:
    config = {
        "listen_addresses": f"127.0.0.1:{port}",
        "worker_processes": int(_WORKERS),
        "cache_size_mb": 0,
        "postgres": {
            "connection_string": place.uri,
            "pool_size": 8,
            "auto_publish": False,
            "tables": {
                f"z{zoom}": {
                    "schema": place.schema,
                    "table": place.view,
                    "srid": place.srid,
                    "geometry_column": "geom",
                    "id_column": "id",
                    "bounds": list(place.box),
                    "extent": 4096,
                    "buffer": 64,
                    "clip_geom": True,
                    "geometry_type": "MULTIPOLYGON",
                    "properties": dict.fromkeys(fields, "text"),
                }
                for zoom, fields in place.tile_fields.items()
            },
        },
    }
    path = place.folder / "martin.yaml"
    path.write_text(yaml.safe_dump(config))
    return [str(_martin_program()), "--config", str(path)], {}


def _pg_tileserv_program() -> Path:
    if shutil.which("go") is None:
        raise Unobtainable("there is no go on this machine")
    return install.go("pg_tileserv", "github.com/CrunchyData/pg_tileserv")


def _pg_tileserv(place: Place, port: int) -> tuple[list[str], dict[str, str]]:
    environment = {"DATABASE_URL": place.uri, "TS_HTTPPORT": str(port), "TS_HTTPHOST": "127.0.0.1"}
    return [str(_pg_tileserv_program())], environment


def _ask_martin(work: str, sample: Sample, place: Place) -> list[Request] | None:
    del place
    return tiles(work, sample, lambda t: f"/{work}/{t.zoom}/{t.column}/{t.row}")


def _ask_pg_tileserv(work: str, sample: Sample, place: Place) -> list[Request] | None:
    def tile(one: Tile) -> str:
        named = ",".join(place.tile_fields[one.zoom])
        path = f"/{place.schema}.{place.view}/{one.zoom}/{one.column}/{one.row}.pbf"
        return f"{path}?properties={named}&limit=60000"

    return tiles(work, sample, tile)


PEERS = (
    Peer("pygeoapi", 18_491, _stock_python, _stock, _ask_stock, "/conformance?f=json"),
    Peer("tipg", 18_492, lambda: _python("tipg", "tipg==1.6.1"), _tipg, _ask_tipg, "/healthz"),
    Peer("mapserver", 18_493, _mapserver_folder, _mapserver, _ask_mapserver,
         "/mapserv/parcels/ogcapi/?f=json"),
    Peer("martin", 18_494, _martin_program, _martin, _ask_martin, "/health"),
    Peer("pg_tileserv", 18_495, _pg_tileserv_program, _pg_tileserv,
         _ask_pg_tileserv, "/health"),
)  # fmt: skip
