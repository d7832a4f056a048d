"""/health/live: the process answers. /health/ready: so does the database.

It tells which facts are not of the layers as they are now; questions that need one that was never
worked out are answered 503.
"""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from pipeline.serve import answers
from pipeline.serve.answers import site_of
from pipeline.serve.links import JSON

_NO_STORE = {"Cache-Control": "no-store"}


async def live(request: Request) -> Response:
    """Whether the process is there."""
    del request
    return answers.data(orjson.dumps({"status": "ok"}), JSON, _NO_STORE)


async def ready(request: Request) -> Response:
    """Whether requests for data can be answered; raises what the database raises."""
    behind = await site_of(request).answerer.freshness.behind()
    facts = {name: getattr(behind, name) for name in ("never", "stale")}
    told = {name: found for name, found in facts.items() if found}
    made = {"status": "ok", **({"facts": told} if told else {})}
    return answers.data(orjson.dumps(made), JSON, _NO_STORE)
