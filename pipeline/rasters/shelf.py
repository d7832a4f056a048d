"""Where the rasters of a layer stand: MAKAN_HOME/rasters/<layer>/, and which file is served."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from pydantic import ValidationError

from pipeline.contracts.raster import ENDINGS, ServedRaster
from pipeline.rasters import disk

_WORK = ".work-"
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
_LONGEST = 80
_ABANDONED_S = 2 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder of one raster layer below ``home``."""

    home: Path
    layer: str

    @property
    def folder(self) -> Path:
        """Where its COGs stand."""
        return ServedRaster.folder(self.home, self.layer)

    def relative(self, path: Path) -> str:
        """``path`` as the database names it."""
        return path.relative_to(self.home).as_posix()

    def absolute(self, path: str) -> Path:
        """The file that the database names ``path``."""
        return self.home / path

    def place(self, sheet: str, run: int) -> Path:
        """Where the COG of a sheet stands; each run writes a file of its own."""
        name = _NOT_IN_NAMES.sub("_", sheet)[:_LONGEST].lstrip(".") or "sheet"
        return self.folder / f"{name}-{run}.tif"

    def whole(self, run: int) -> Path:
        """Where the COG of all sheets stands; no sheet's name can be the same."""
        return self.folder / f"mosaic.{run}.tif"

    @contextmanager
    def work(self) -> Iterator[Path]:
        """A folder on the same disk for what is begun, gone at the end."""
        with disk.writing(self.folder / "work"):
            self.folder.mkdir(parents=True, exist_ok=True)
            folder = Path(mkdtemp(prefix=_WORK, dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def served(self) -> ServedRaster | None:
        """What the server is told, None before the first load or if that file is damaged."""
        pointer = ServedRaster.pointer(self.home, self.layer)
        try:
            found = ServedRaster.model_validate_json(pointer.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return found if self.absolute(found.path).is_file() else None

    def serve(self, served: ServedRaster) -> None:
        """Tells the server, at once and wholly."""
        pointer = ServedRaster.pointer(self.home, self.layer)
        with disk.writing(pointer):
            disk.write_text(pointer, served.model_dump_json(indent=2) + "\n")

    def sweep(self, kept: Iterable[str]) -> None:
        """Removes COGs that are neither in force nor served, with their reports, and what killed
        loads left behind.

        Who has a file open just now keeps it.
        """
        names = {Path(path).name for path in kept}
        for file in self.folder.glob("*.tif"):
            if file.name not in names:
                file.unlink(missing_ok=True)
        for name in ServedRaster.reports(self.home, self.layer):
            if f"{name}.tif" not in names:
                for ending in ENDINGS:
                    ServedRaster.report(self.home, self.layer, name, ending).unlink(missing_ok=True)
        for folder in self.folder.glob(f"{_WORK}*"):
            if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)
