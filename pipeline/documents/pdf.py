"""Pages as PDF, made by WeasyPrint in a process of its own: requests do not wait for layout.

PDF/A-3: fonts are inside, and the answer as JSON is attached, so that one file is both document
and data. A page can have nothing fetched: pictures stand in it.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import multiprocessing
import os
import shutil
import signal
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.documents import copied

_PR_SET_PDEATHSIG = 1
_FONTS = "../vendor/vazirmatn"
_WAITING = 8  # for each process
_LIMIT_S = 60.0


class BusyError(Exception):
    """So many documents wait already that another would only wait in vain."""


@dataclass(frozen=True, slots=True)
class Job:
    """``page``: the HTML, without its style sheet. ``digest``: of the answer, the identifier of the
    file; ``attached``: name and bytes."""

    page: str
    digest: bytes
    attached: tuple[str, bytes]


class Printer:
    """Processes that make PDFs, started with the first and ended with this one."""

    def __init__(self, processes: int = 1, nice: int = 0) -> None:
        """So many ``processes``; the more ``nice``, the more other work goes before theirs."""
        self._processes, self._nice = processes, nice
        self._pool: ProcessPoolExecutor | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._waiting = 0

    async def pdf(self, job: Job) -> bytes:
        """The PDF of ``job``; raises BusyError, TimeoutError."""
        if self._waiting >= _WAITING * self._processes:
            raise BusyError
        self._waiting += 1
        try:
            async with asyncio.timeout(_LIMIT_S):
                return await self._made(job)
        finally:
            self._waiting -= 1

    async def _made(self, job: Job) -> bytes:
        loop, pool = asyncio.get_running_loop(), self._started()
        try:
            return await loop.run_in_executor(pool, printed, job)
        except BrokenProcessPool:  # one was killed, for want of memory perhaps: once more
            if self._pool is pool:  # else another document has seen to it
                self.close()
            return await loop.run_in_executor(self._started(), printed, job)

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._folder = tempfile.TemporaryDirectory(prefix="makan-pdf-")
            self._pool = ProcessPoolExecutor(
                self._processes,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_prepare,
                initargs=(self._folder.name, self._nice),
            )
        return self._pool

    def close(self) -> None:
        """Ends the processes, and clears away what they leave (they have their fonts in files)."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _prepare(folder: str, nice: int) -> None:
    """In the process: Ctrl-C is for its parent, with which it ends whatever happens (Linux).
    Its temporary files are in ``folder``, which is its parent's to clear away."""
    tempfile.tempdir = folder
    os.nice(nice)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return


def printed(job: Job) -> bytes:
    """The PDF of ``job``, made here and now."""
    # Takes two thirds of a second, and Pango: only where PDFs are made.
    import weasyprint
    from weasyprint.urls import URLFetcher

    fonts, sheet = _look()
    name, content = job.attached
    within = URLFetcher(allowed_protocols=("data",))
    made: bytes = weasyprint.HTML(string=copied.kept(job.page), url_fetcher=within).write_pdf(
        stylesheets=[sheet],
        font_config=fonts,
        finisher=copied.meant,
        pdf_identifier=job.digest,
        pdf_variant="pdf/a-3b",
        attachments=[
            weasyprint.Attachment(string=content, name=name, relationship="Data", description=name)
        ],
    )
    return made


@cache
def _look() -> tuple[Any, Any]:
    """The fonts and the style sheet of documents, read once."""
    import weasyprint
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import URLFetcher

    fonts = FontConfiguration()
    here = URLFetcher(allowed_protocols=("file",))
    style = paths.server_files() / "static" / "css" / "paper.css"
    ours = Path(tempfile.mkdtemp(prefix="makan-fonts-"))
    atexit.register(shutil.rmtree, ours, ignore_errors=True)
    copied.fonts(style.parent / _FONTS, ours)
    text = style.read_text(encoding="utf-8").replace(_FONTS, ours.as_uri())
    sheet = weasyprint.CSS(
        string=text, base_url=style.as_uri(), font_config=fonts, url_fetcher=here
    )
    return fonts, sheet
