"""What one server process knows: settings, contracts, configuration, and how it asks the database.

pygeoapi makes its plugins from the configuration alone, so they find the rest by ``current``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipeline.answers.ask import Answerer
from pipeline.answers.jobs import Jobs
from pipeline.answers.registrar import Registrar
from pipeline.contracts.audience import Audience
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.documents.pdf import Printer
from pipeline.edits.write import Editor
from pipeline.serve.errors import missing
from pipeline.serve.files import Files
from pipeline.serve.pages import Pages
from pipeline.serve.press import Press
from pipeline.serve.query import Statement
from pipeline.serve.reader import Reader
from pipeline.serve.served import Served
from pipeline.serve.state import State
from pipeline.serve.tile_store import TileStore
from pipeline.settings import Settings


@dataclass(frozen=True)
class Site:
    """One published service. ``features`` and ``tiles`` have pools of their own, so that heavy
    tiles never keep a lookup waiting. ``static`` holds answers that cannot change while it runs;
    ``digest`` stands for all that was published, ``state`` knows which loads the data are of.
    ``editor`` writes rows, where the audience may."""

    settings: Settings
    schemas: Schemas
    config: dict[str, Any]
    openapi: bytes
    database: Database
    served: dict[str, Served]
    pages: Pages
    features: Reader
    tiles: Reader
    state: State
    tile_store: TileStore
    answerer: Answerer
    jobs: Jobs
    digest: str
    files: Files
    printer: Printer
    registrar: Registrar
    editor: Editor | None = None
    static: dict[tuple[str, ...], Any] = field(default_factory=dict)

    @property
    def audience(self) -> Audience:
        """Whom the service is for."""
        return self.schemas.audience(self.settings.audience)

    @property
    def base(self) -> str:
        """The public address, without a trailing slash."""
        return self.settings.public_base

    @cached_property
    def press(self) -> Press:
        """What makes documents of answers."""

        async def write(query: bytes, values: dict[str, Any]) -> object:
            return await self.features.write(Statement(query, values))

        return Press(
            self.settings,
            self.schemas,
            self.registrar,
            self.pages,
            self.printer,
            write,
            self.static,
        )

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of pages and titles; the first is the default."""
        return self.schemas.city.languages

    @property
    def options(self) -> dict[str, Any]:
        """The house's own settings in the configuration."""
        found: dict[str, Any] = self.config["makan"]
        return found

    def collection(self, name: str) -> dict[str, Any]:
        """The configuration of a collection; 404 if there is none of that name."""
        found: dict[str, Any] | None = self.config["resources"].get(name)
        if found is None:
            raise missing(f"there is no collection {name!r}")
        return found

    def feature_collection(self, name: str) -> Served:
        """A collection of features; 404 if there is none of that name."""
        self.collection(name)
        try:
            return self.served[name]
        except KeyError:
            raise missing(f"the collection {name!r} has no features") from None


_installed: list[Site] = []


def install(site: Site) -> None:
    """Makes ``site`` the one that plugins of this process work for."""
    _installed[:] = [site]


def current() -> Site:
    """The site of this process; raises LookupError when none is installed."""
    if not _installed:
        raise LookupError("no site is installed in this process")
    return _installed[0]
