"""What goes wrong in a request, and the answer that each gets.

An outage is 503 with Retry-After and never 404: a client must not read "this parcel does not
exist" out of a database that is down. A request that cannot be understood is 400 and says why.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any

import orjson
import psycopg
from psycopg_pool import PoolTimeout
from pygeoapi.error import GenericError
from rasterio.errors import RasterioIOError

from pipeline import disk

log = logging.getLogger(__name__)

JSON_TYPE = "application/problem+json"
_RETRY_S = 5
NO_ROOM = "the server's machine has no room for this at the moment"
_TITLES = {400: "Bad request", 404: "Not found", 405: "Method not allowed"}


class Problem(Exception):  # noqa: N818 - what RFC 9457 calls it
    """An answer that is an error: its HTTP status, OGC code and what to tell the client; ``told``
    are further members, for programs."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        headers: dict[str, str] | None = None,
        told: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.told = told or {}
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}

    @property
    def title(self) -> str:
        """The status in words."""
        return _TITLES.get(self.status, HTTPStatus(self.status).phrase)

    def body(self) -> bytes:
        """RFC 9457 problem details that also hold the members of an OGC exception."""
        return orjson.dumps(
            {
                "type": "about:blank",
                "title": self.title,
                "status": self.status,
                "detail": self.detail,
                "code": self.code,
                "description": self.detail,
                **self.told,
            }
        )


def bad(detail: str, code: str = "InvalidParameterValue") -> Problem:
    """400: the request says something that cannot be."""
    return Problem(400, code, detail)


def missing(detail: str) -> Problem:
    """404: there is no such thing, and the server is sure of it."""
    return Problem(404, "NotFound", detail)


def unavailable(detail: str) -> Problem:
    """503: the answer is not known now; come again."""
    return Problem(503, "ServiceUnavailable", detail, {"Retry-After": str(_RETRY_S)})


def of(error: Exception) -> Problem:
    """The problem that ``error`` is to a client; what is a fault of ours is logged here."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, GenericError) and error.http_status_code < 500:
        return Problem(int(error.http_status_code), error.ogc_exception_code, error.message)
    if isinstance(error, psycopg.errors.QueryCanceled | TimeoutError | asyncio.CancelledError):
        return unavailable("the request takes too long; ask for less (bbox, limit, filter)")
    if isinstance(error, psycopg.DataError):
        said = error.diag.message_primary or "a value is out of range"
        return bad(f"a value cannot be used: {said}")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | PoolTimeout):
        log.warning("database away: %s", type(error).__name__)
        return unavailable("the database does not answer at the moment")
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        log.error("the database is not what the server was published for: %s", error)
        return unavailable("the data are being changed; try again")
    if machine := _of_the_machine(error):
        return machine
    log.error("request failed", exc_info=error)
    return Problem(500, "NoApplicableCode", "the server made an error; it has been logged")


def _of_the_machine(error: Exception) -> Problem | None:
    if isinstance(error, RasterioIOError):
        # It is damaged or its disk is away; that it is not there nobody may read out of it.
        log.warning("a raster cannot be read: %s", error.__cause__ or error)
        return unavailable("the raster cannot be read at the moment")
    if found := disk.of_the_machine(error):
        log.warning("%s", found)
        return unavailable(NO_ROOM)
    return None
