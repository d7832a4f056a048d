"""Printing: the sheets of a bundle as files, and bound: all as one PDF, or volumes of so many.

What is there already is not made again, so a job that is taken up by another worker goes on where
it was left.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson

from pipeline.answers.ask import Tell
from pipeline.answers.sheets import Sheet, volumes

_BLOCK = 1 << 20

#: Makes one PDF of many: what each is called and where it is, title, language, where to; the number
#: of pages of each.
Merge = Callable[[Sequence[tuple[str, Path]], str, str, Path], list[int]]


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a sheet: the file that has it, on which page it begins, or why there is
    none."""

    sheet: Sheet
    file: str = ""
    page: int | None = None
    why: str = ""


@dataclass
class Progress:
    """Tells how many of ``all`` are done, in percent."""

    tell: Tell
    all: int
    done: int = 0

    def add(self, number: int) -> None:
        """So many more are done."""
        self.done += number
        self.tell(99 * self.done // self.all)


#: What became of each sheet, the one PDF of all, the volumes.
Result = tuple[list[Made], dict[str, Any] | None, list[dict[str, Any]]]


@dataclass(frozen=True)
class Press:
    """Prints sheets into ``folder``, each by itself by ``one`` (which says why there is none), and
    binds them by ``merge``, if there is one; ``at_once`` are worked at together."""

    folder: Path
    one: Callable[[Sheet], Awaitable[str]]
    merge: Merge | None
    title: str
    language: str
    progress: Progress
    at_once: int

    async def whole(self, found: list[Sheet], path: Path) -> Result:
        """Each a file, and all of them one PDF at ``path`` where they can be merged."""
        rows = await self._each(found)
        there = [made for made in rows if made.file]
        if self.merge is None or not there:
            return rows, None, []
        pages, told = await asyncio.to_thread(self._merged, self.merge, there, path)
        return rows, {**told, "pages": sum(pages)}, []

    async def volumes(self, found: list[Sheet], most: int) -> Result:
        """A PDF for ``most`` of them at a time, whose single files go: neither memory nor disk
        holds more of those. A volume that is there is not made again."""
        rows: list[Made] = []
        parts = []
        for number, some in enumerate(volumes(found, most), start=1):
            name = f"volume-{number:03}.pdf"
            kept = self.folder / f"{name}.json"
            if not kept.is_file():
                made = await self._volume(some, self.folder / name)
                await asyncio.to_thread(_write, kept, orjson.dumps(made))
                for sheet in some:
                    (self.folder / sheet.name).unlink(missing_ok=True)
            else:
                self.progress.add(len(some))
            told = orjson.loads(kept.read_bytes())
            for sheet, (page, why) in zip(some, told.pop("sheets"), strict=True):
                rows.append(Made(sheet, name if page else "", page, why))
            if told:
                parts.append({"name": name, **told})
        return rows, None, parts

    async def _volume(self, some: list[Sheet], path: Path) -> dict[str, Any]:
        """Makes a volume; where each of its sheets is, and what it is."""
        rows = await self._each(some)
        there = [made for made in rows if made.file]
        starts: Iterator[int] = iter(())
        told = {}
        if there and self.merge:
            pages, about = await asyncio.to_thread(self._merged, self.merge, there, path)
            starts = accumulate(pages, initial=1)
            told = {"documents": sum(bool(made.sheet.number) for made in there), "first":
                    there[0].sheet.called, "last": there[-1].sheet.called, "pages": sum(pages),
                    **about}  # fmt: skip
        at = [(next(starts) if made.file else None, made.why) for made in rows]
        return {**told, "sheets": at}

    async def _each(self, found: list[Sheet]) -> list[Made]:
        """Every sheet as a file; while one is printed, the next are asked for."""
        at_once = asyncio.Semaphore(self.at_once)

        async def made(sheet: Sheet) -> Made:
            async with at_once:
                why = await self.one(sheet)
            self.progress.add(1)
            return Made(sheet, why=why) if why else Made(sheet, sheet.name, 1)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(made(sheet)) for sheet in found]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return [task.result() for task in tasks]

    def _merged(
        self, merge: Merge, there: list[Made], path: Path
    ) -> tuple[list[int], dict[str, Any]]:
        """All of ``there`` as one PDF at ``path``: the pages of each, and what it is."""
        title = f"{self.title}: {there[0].sheet.called} … {there[-1].sheet.called}"
        parts = [(made.sheet.called, self.folder / made.file) for made in there]
        part = path.with_suffix(".pdf.part")
        pages = merge(parts, title, self.language, part)
        told = {"bytes": part.stat().st_size, "sha256": digest_of(part)}
        part.replace(path)
        return pages, told


def _write(path: Path, content: bytes) -> None:
    """Wholly or not at all."""
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)


def digest_of(path: Path) -> str:
    """SHA-256 of the file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
