"""Press: all that it takes to make documents of answers, in a server or in a worker of jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.answers.registrar import Registrar
from pipeline.contracts.registry import Schemas
from pipeline.documents.pdf import Printer
from pipeline.serve.pages import Pages
from pipeline.settings import Settings

#: Writes what is kept of documents, with the login of the audience.
Write = Callable[[bytes, dict[str, Any]], Awaitable[object]]


@dataclass(frozen=True)
class Press:
    """``static`` holds what cannot change while the process runs."""

    settings: Settings
    schemas: Schemas
    registrar: Registrar
    pages: Pages
    printer: Printer
    write: Write
    static: dict[tuple[str, ...], Any] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The public address, without a trailing slash."""
        return self.settings.public_base
