"""Binding: documents of jobs, made in their workers as a server makes them."""

from __future__ import annotations

import os
from typing import Any

import yaml

from pipeline.answers.ask import Ask
from pipeline.answers.bundles import Binder
from pipeline.answers.registrar import Registrar
from pipeline.contracts.process import Process
from pipeline.contracts.registry import Schemas
from pipeline.documents.merged import merge
from pipeline.documents.pdf import Printer
from pipeline.errors import SettingsError
from pipeline.serve import papers, publish
from pipeline.serve.pages import Pages
from pipeline.serve.papers import Paper
from pipeline.serve.press import Press
from pipeline.settings import Settings

#: How far bulk printing stands back behind servers and loads.
_NICE = 10


def binder(settings: Settings, schemas: Schemas) -> Binder:
    """What makes documents for the audience of ``settings``; begun with the first of them. It may
    use every core, after all other work: each document is one core's for a quarter of a second."""
    cores = len(os.sched_getaffinity(0))
    begun = _Begun(settings, schemas, Printer(cores, nice=_NICE))
    return Binder(settings.home, begun.make, merge, begun.close, at_once=cores + 1)


class _Begun:
    """The pages and the printer of one worker."""

    def __init__(self, settings: Settings, schemas: Schemas, printer: Printer) -> None:
        self._settings, self._schemas = settings, schemas
        self._printer = printer
        self._pages: Pages | None = None
        self._static: dict[tuple[str, ...], Any] = {}

    async def make(
        self, process: Process, answer: dict[str, Any], language: str, write: Ask
    ) -> bytes:
        """The PDF of ``answer``."""
        document = process.document
        if document is None:
            raise LookupError(f"{process.id} is no document")
        wanted = Paper(
            self._press(write), process, document, answer, "pdf", language, document.scale
        )
        return await papers.pdf(wanted)

    def _press(self, write: Ask) -> Press:
        settings, schemas = self._settings, self._schemas
        audience = schemas.audience(settings.audience)
        registrar = Registrar(settings, schemas, audience, write)
        if self._pages is None:
            self._pages = _pages(settings)
        return Press(settings, schemas, registrar, self._pages, self._printer, write, self._static)

    def close(self) -> None:
        """Ends the processes that print."""
        self._printer.close()


def _pages(settings: Settings) -> Pages:
    """The pages as they were published last."""
    path = publish.files(settings).config
    try:
        config = yaml.load(path.read_bytes(), yaml.CSafeLoader)
    except OSError:
        raise SettingsError("nothing was published yet", todo="Run `makan publish`.") from None
    compiled = settings.home / "cache" / "pages"
    return Pages(config["server"]["templates"]["path"], config, compiled=compiled)
