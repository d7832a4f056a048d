"""Bundles: files that a job makes beside its answer, kept below the home for as long as the answer.

Who makes the documents is told by whoever begins the workers: how they look is no matter of this
room. Each is written once, under a name that stands for it, so a job that is taken again goes on
where it was left.
"""

from __future__ import annotations

import asyncio
import csv
import io
import shutil
import time
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline.answers.ask import Answerer, Ask, Tell
from pipeline.answers.printing import Made, Merge, Press, Progress, digest_of
from pipeline.answers.refusals import Refusal
from pipeline.answers.sheets import Sheet, sheets
from pipeline.contracts.process import Bundle, Process

_FOLDER = "jobs"
_DAY_S = 86_400
#: So many documents are open at once while they are made one file.
_MOST_MERGED = 500
LISTED = "list.csv"

#: Makes the PDF of an answer: process, answer, language; ``Ask`` writes what is kept of it.
Make = Callable[[Process, dict[str, Any], str, Ask], Awaitable[bytes]]


def place(home: Path, job: str, form: str = "zip") -> Path:
    """Where the file of ``job`` is, once it is made: the ZIP, or all documents as one PDF."""
    return home / _FOLDER / f"{UUID(job)}.{form}"


def drop(home: Path, job: str) -> None:
    """Takes away what was made for ``job``."""
    path = place(home, job)
    path.unlink(missing_ok=True)
    path.with_suffix(".pdf").unlink(missing_ok=True)
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)


@dataclass(frozen=True)
class Binder:
    """Makes the files of jobs below ``home`` by ``make`` and, where there is ``merge``, one PDF of
    all, or several of at most ``most``; ``at_once`` are worked at together; ``close`` ends what
    that has begun."""

    home: Path
    make: Make
    merge: Merge | None = None
    close: Callable[[], None] = lambda: None
    most: int = _MOST_MERGED
    at_once: int = 2

    async def bound(
        self,
        job: str,
        process: Process,
        answer: dict[str, Any],
        asked: dict[str, Any],
        answerer: Answerer,
        write: Ask,
        tell: Tell,
    ) -> dict[str, Any]:
        """The ``answer`` with its ``file``, whose documents are those of the process that is
        ``asked`` for."""
        bundle = process.bundle
        if bundle is None:
            return answer
        work = _Work(self, place(self.home, job), bundle, answerer, write)
        return answer | {"file": await work.carried_out(answer, asked, tell)}

    def sweep(self, days: int) -> None:
        """Takes away what is older than any answer is kept."""
        before = time.time() - (days + 1) * _DAY_S
        folder = self.home / _FOLDER
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.stat().st_mtime < before:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Work:
    binder: Binder
    path: Path
    bundle: Bundle
    answerer: Answerer
    write: Ask

    @property
    def folder(self) -> Path:
        """Where documents lie until all are there."""
        return self.path.with_suffix("")

    async def carried_out(
        self, answer: dict[str, Any], asked: dict[str, Any], tell: Tell
    ) -> dict[str, Any]:
        """Makes what is not there yet, then the one file; what it is."""
        city, bundle = self.answerer.city, self.bundle
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        document = self.answerer.processes[asked[city.published(bundle.kind)]]
        language = asked.get(city.published(bundle.language)) or city.languages[0]
        things = answer[city.published(bundle.lists)]
        found = sheets(self.answerer, bundle, things, document, asked)
        press = Press(
            self.folder,
            partial(self._one, language=language),
            self.binder.merge,
            document.title.of(language),
            language,
            Progress(tell, len(found)),
            self.binder.at_once,
        )
        if self.binder.merge and len(found) > self.binder.most:
            rows, one, parts = await press.volumes(found, self.binder.most)
        else:
            rows, one, parts = await press.whole(found, self.path.with_suffix(".pdf"))
        digest = await asyncio.to_thread(self._together, rows)
        called = city.published(bundle.called)
        failed = [{called: made.sheet.called, "why": made.why} for made in rows if made.why]
        covers = sum(made.sheet.document is not document for made in rows)
        return {
            "name": f"{document.id}-{self.path.stem[:8]}.zip",
            "bytes": self.path.stat().st_size,
            "sha256": digest,
            "documents": len(rows) - len(failed) - covers,
            "covers": covers,
            "failed": failed,
            "merged": one,
            "volumes": parts,
        }

    async def _one(self, sheet: Sheet, language: str) -> str:
        """Makes one document unless it is there; why there is none, if so."""
        path = self.folder / sheet.name
        if path.is_file():
            return ""
        try:
            answer = await self.answerer.answer(sheet.document.id, sheet.asked)
        except Refusal as refusal:
            return refusal.detail
        made = await self.binder.make(sheet.document, answer, language, self.write)
        part = path.with_suffix(".part")
        await asyncio.to_thread(part.write_bytes, made)
        part.replace(path)
        return ""

    def _together(self, rows: list[Made]) -> str:
        """The files and their list in one; its SHA-256. PDFs are packed already."""
        listed = io.StringIO("\ufeff", newline="")
        listed.seek(0, io.SEEK_END)
        table = csv.writer(listed, lineterminator="\r\n")
        called = self.answerer.city.published(self.bundle.called)
        table.writerow(["number", called, "file", "page", "why"])
        for made in rows:
            sheet = made.sheet
            table.writerow([sheet.number, sheet.called, made.file, made.page or "", made.why])
        part = self.path.with_suffix(".part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as made_of:
            made_of.writestr(LISTED, listed.getvalue())
            for name in dict.fromkeys(made.file for made in rows if made.file):
                made_of.write(self.folder / name, name)
        digest = digest_of(part)
        part.replace(self.path)
        shutil.rmtree(self.folder, ignore_errors=True)
        return digest
