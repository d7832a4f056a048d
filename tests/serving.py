"""Applications for tests, several of them in one process."""

from __future__ import annotations

import warnings
from typing import Any

from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.settings import Settings

with warnings.catch_warnings():
    # Warnings of pygeoapi's own modules about themselves.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pipeline.serve import publish, server, site


class Application:
    """A served city. pygeoapi's plugins know one site a process: whenever this application is
    asked, it is its own, whatever other applications there were before."""

    def __init__(self, settings: Settings, schemas: Schemas, database: Database) -> None:
        """Of ``database``, written out below the home of ``settings``."""
        place = publish.publish(settings, schemas, database)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.app = server.build(settings, schemas, place)
        self.state = self.app.state

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers, as ASGI has it."""
        site.install(self.state.site)
        await self.app(scope, receive, send)
