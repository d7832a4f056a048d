"""/health/live: the process answers. /health/ready: so does the database."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pipeline.serve import answers
from pipeline.serve.answers import site_of
from pipeline.serve.links import JSON
from pipeline.serve.query import Statement

_NO_STORE = {"Cache-Control": "no-store"}
_ASK = Statement(b"SELECT 1", {})


async def live(request: Request) -> Response:
    """Whether the process is there."""
    del request
    return answers.data(orjson.dumps({"status": "ok"}), JSON, _NO_STORE)


async def ready(request: Request) -> Response:
    """Whether requests for data can be answered; raises what the database raises."""
    await site_of(request).features.row(_ASK)
    return answers.data(orjson.dumps({"status": "ok"}), JSON, _NO_STORE)
