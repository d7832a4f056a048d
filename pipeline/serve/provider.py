"""The feature provider that pygeoapi's own code uses; the hot routes in ``items`` go past it.

Both ask the same questions (``query``), so they give the same answers.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
import psycopg
from pygeoapi.provider.base import (
    BaseProvider,
    ProviderConnectionError,
    ProviderGenericError,
    ProviderInvalidQueryError,
    ProviderItemNotFoundError,
)

from pipeline.derive import jsonschema
from pipeline.errors import DatabaseError
from pipeline.serve import errors, params, query, site
from pipeline.serve.errors import Problem
from pipeline.serve.query import Statement
from pipeline.serve.served import Served


class ProviderUnavailableError(ProviderConnectionError):  # type: ignore[misc]
    """The database does not answer: never to be taken for "there is no such feature"."""

    http_status_code = HTTPStatus.SERVICE_UNAVAILABLE
    ogc_exception_code = "ServiceUnavailable"
    default_msg = "the database does not answer at the moment"


def _raised(problem: Problem) -> ProviderGenericError:
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return ProviderUnavailableError(problem.detail)
    if problem.status == HTTPStatus.NOT_FOUND:
        return ProviderItemNotFoundError(problem.detail, user_msg=problem.detail)
    return ProviderInvalidQueryError(problem.detail, user_msg=problem.detail)


class PostgisProvider(BaseProvider):  # type: ignore[misc]
    """Features of one ``api`` view; ``data`` in the configuration is the layer's id."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        """From pygeoapi's definition; the contract says the rest."""
        super().__init__(provider_def)
        self._site = site.current()
        layer = self._site.schemas.layer(self.data)
        self._served: Served = self._site.served[layer.publish.collection]
        self._fields: dict[str, Any] = {}
        self.get_fields()

    def get_fields(self) -> dict[str, Any]:
        """Published fields with type, title, unit and codes."""
        if not self._fields:
            schemas, language = self._site.schemas, self._site.languages[0]
            self._fields = {
                name: jsonschema.field_schema(schemas, field, language)
                for name, field in self._served.fields.items()
            }
        return self._fields

    def query(self, **asked: Any) -> dict[str, Any]:
        """A page of features as pygeoapi asks for it; boxes come in the stored CRS."""
        if asked.get("filterq") is not None or asked.get("q") is not None:
            raise ProviderInvalidQueryError(user_msg="filters go through /items of this server")
        try:
            wanted = params.query(self._served, _parameters(self._served, asked))
            if wanted.hits:
                (matched,) = self._row(wanted.count()) or (0,)
                return _collection(b"", int(matched), 0)
            row = self._row(wanted.page())
        except Problem as problem:
            raise _raised(problem) from None
        features, returned, _, _, matched = row or (b"", 0, False, None, 0)
        return _collection(features or b"", int(matched), int(returned))

    def get(self, identifier: str, **asked: Any) -> dict[str, Any]:
        """One feature; raises ProviderItemNotFoundError only if it surely is not there."""
        try:
            number = params.item_number(str(identifier))
            shape = params.shape(self._served, _crs(self._served, asked))
            asking = None if number is None else query.item(self._served, shape, number)
            row = self._row(asking) if asking else None
        except Problem as problem:
            raise _raised(problem) from None
        if row is None:
            raise ProviderItemNotFoundError(f"item {identifier} not found")
        found: dict[str, Any] = orjson.loads(row[0])
        return found

    def _row(self, statement: Statement) -> tuple[Any, ...] | None:
        try:
            with self._site.database.connect(self._site.audience.role) as connection:
                return connection.execute(statement.sql, statement.values).fetchone()
        except (psycopg.Error, DatabaseError) as error:
            away = isinstance(error, DatabaseError)
            problem = errors.unavailable(str(error)) if away else errors.of(error)
            raise problem from None

    def __repr__(self) -> str:
        return f"<PostgisProvider> {self.data}"


def _collection(features: bytes | str, matched: int, returned: int) -> dict[str, Any]:
    text = features if isinstance(features, str) else features.decode()
    return {
        "type": "FeatureCollection",
        "features": orjson.loads(f"[{text}]"),
        "numberMatched": matched,
        "numberReturned": returned,
    }


def _crs(served: Served, asked: dict[str, Any]) -> dict[str, str]:
    """pygeoapi gives no specification when the stored CRS itself is asked for."""
    spec = asked.get("crs_transform_spec")
    return {"crs": spec.target_crs_uri if spec else served.city.crs_uri}


def _parameters(served: Served, asked: dict[str, Any]) -> dict[str, str]:
    """pygeoapi's keyword arguments as the parameters of /items."""
    found: dict[str, str] = dict(asked.get("properties") or [])
    found |= {name: str(asked[name]) for name in ("limit", "offset") if asked.get(name)}
    found["resulttype"] = asked.get("resulttype") or "results"
    found["skipGeometry"] = str(bool(asked.get("skip_geometry"))).lower()
    if asked.get("bbox"):
        found["bbox"] = ",".join(map(str, asked["bbox"]))
        found["bbox-crs"] = served.city.crs_uri
    if asked.get("datetime_"):
        found["datetime"] = asked["datetime_"]
    if asked.get("sortby"):
        found["sortby"] = ",".join(f"{s['order']}{s['property']}" for s in asked["sortby"])
    if asked.get("select_properties"):
        found["properties"] = ",".join(asked["select_properties"])
    return found | _crs(served, asked)
