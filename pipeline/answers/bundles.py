"""Bundles: files that a job makes beside its answer, kept below the home for as long as the answer.

Who makes the documents is told by whoever begins the workers: how they look is no matter of this
room. Each is written once, under a name that stands for it, so a job that is taken again goes on
where it was left.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import re
import shutil
import time
import zipfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

from pipeline.answers.ask import Answerer, Ask, Tell
from pipeline.answers.refusals import Refusal
from pipeline.contracts.process import Bundle, Process

_FOLDER = "jobs"
_UNSAFE = re.compile(r"[^\w.-]+")
_BLOCK = 1 << 20
_DAY_S = 86_400
#: So many documents are open at once while they are made one file.
_MOST_MERGED = 500
LISTED = "list.csv"

#: Makes the PDF of an answer: process, answer, language; ``Ask`` writes what is kept of it.
Make = Callable[[Process, dict[str, Any], str, Ask], Awaitable[bytes]]
#: Makes one PDF of many: what each is called and where it is, title, language, where to; its pages.
Merge = Callable[[Sequence[tuple[str, Path]], str, str, Path], int]


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
    all; ``close`` ends what that has begun."""

    home: Path
    make: Make
    merge: Merge | None = None
    close: Callable[[], None] = lambda: None

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


@dataclass(frozen=True, slots=True)
class _Sheet:
    """One document of a bundle: its place in the list ("" for a cover), what it is called, its
    file, and what is asked for it."""

    number: str
    called: str
    name: str
    document: Process
    asked: dict[str, Any]


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
        called, rows = city.published(bundle.called), []
        sheets = list(self._sheets(answer[city.published(bundle.lists)], document, asked))
        for done, sheet in enumerate(sheets, start=1):
            why = await self._one(self.folder / sheet.name, sheet.document, sheet.asked, language)
            rows.append((sheet.number, sheet.called, "" if why else sheet.name, why or ""))
            tell(99 * done // len(sheets))
        title = f"{document.title.of(language)}: {sheets[0].called} … {sheets[-1].called}"
        one = await asyncio.to_thread(self._merged, rows, title, language)
        digest = await asyncio.to_thread(self._together, rows)
        failed = [{called: code, "why": why} for _, code, _, why in rows if why]
        covers = sum(sheet.document is not document for sheet in sheets)
        return {
            "name": f"{document.id}-{self.path.stem[:8]}.zip",
            "bytes": self.path.stat().st_size,
            "sha256": digest,
            "documents": len(rows) - len(failed) - covers,
            "covers": covers,
            "failed": failed,
            "merged": one,
        }

    def _sheets(
        self, things: list[dict[str, Any]], document: Process, asked: dict[str, Any]
    ) -> Iterator[_Sheet]:
        """The documents in order: of each thing and, where they are asked for, a cover before each
        run of them."""
        city, bundle = self.answerer.city, self.bundle
        by, called = city.published(bundle.by), city.published(bundle.called)
        passed = self.answerer.passed(bundle, asked, document.id)
        covers = dict(self._covers(things, asked))
        for number, thing in enumerate(things, start=1):
            if number in covers:
                yield covers[number]
            name = f"{number:05}-{_UNSAFE.sub('_', str(thing[called]))}.pdf"
            yield _Sheet(str(number), str(thing[called]), name, document, {by: thing[by], **passed})

    def _covers(
        self, things: list[dict[str, Any]], asked: dict[str, Any]
    ) -> Iterator[tuple[int, _Sheet]]:
        """Each cover with the number of the thing that it stands before."""
        city, cover = self.answerer.city, self.bundle.cover
        if cover is None or asked.get(city.published(cover.when)) != cover.value:
            return
        process = self.answerer.processes[cover.process]
        passed = self.answerer.passed(self.bundle, asked, process.id)
        of, start = city.published(cover.of), 1
        for value, run in groupby(things, lambda one: one[city.published(cover.per)]):
            ids = [one[of] for one in run]
            name = f"{start:05}-0-{_UNSAFE.sub('_', str(value))}.pdf"
            given = {city.published(cover.by): ids, **passed}
            yield start, _Sheet("", str(value), name, process, given)
            start += len(ids)

    async def _one(
        self, path: Path, document: Process, given: dict[str, Any], language: str
    ) -> str | None:
        """Makes one document unless it is there; why there is none, if so."""
        if path.is_file():
            return None
        try:
            answer = await self.answerer.answer(document.id, given)
        except Refusal as refusal:
            return refusal.detail
        made = await self.binder.make(document, answer, language, self.write)
        part = path.with_suffix(".part")
        await asyncio.to_thread(part.write_bytes, made)
        part.replace(path)
        return None

    def _merged(
        self, rows: list[tuple[str, str, str, str]], title: str, language: str
    ) -> dict[str, Any] | None:
        """All documents as one PDF, where they are not too many; what it is."""
        parts = [(called, self.folder / name) for _, called, name, _ in rows if name]
        if self.binder.merge is None or not 0 < len(parts) <= _MOST_MERGED:
            return None
        path = self.path.with_suffix(".pdf")
        part = path.with_suffix(".pdf.part")
        pages = self.binder.merge(parts, title, language, part)
        told = {"bytes": part.stat().st_size, "sha256": _digest(part), "pages": pages}
        part.replace(path)
        return told

    def _together(self, rows: list[tuple[str, str, str, str]]) -> str:
        """The documents and their list in one file; its SHA-256. PDFs are packed already."""
        listed = io.StringIO("\ufeff", newline="")
        listed.seek(0, io.SEEK_END)
        table = csv.writer(listed, lineterminator="\r\n")
        table.writerow(["number", self.answerer.city.published(self.bundle.called), "file", "why"])
        table.writerows(rows)
        part = self.path.with_suffix(".part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as made:
            made.writestr(LISTED, listed.getvalue())
            for _, _, name, _ in rows:
                if name:
                    made.write(self.folder / name, name)
        digest = _digest(part)
        part.replace(self.path)
        shutil.rmtree(self.folder, ignore_errors=True)
        return digest


def _digest(path: Path) -> str:
    """SHA-256 of the file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
