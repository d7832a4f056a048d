"""What ``makan dem build`` makes a model of: files, or the layers that are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cli.raster_files import declared_crs, declared_date
from pipeline.contracts.raster import RasterContract
from pipeline.contracts.registry import Schemas
from pipeline.db.engine import Database
from pipeline.db.sources import MadeOf, Model
from pipeline.errors import SettingsError
from pipeline.findings import Finding
from pipeline.rasters.inspect import Declared, Job
from pipeline.settings import Settings
from pipeline.spread import once
from pipeline.terrain import loaded, read
from pipeline.terrain.read import Files
from pipeline.terrain.survey import Survey


@dataclass(frozen=True)
class Source:
    """A survey, what was found about it, the names of what it is made of, and the sheet's name;
    ``made_of`` where these are layers."""

    survey: Survey
    findings: list[Finding]
    names: list[str]
    sheet: str
    made_of: MadeOf | None = None


@dataclass(frozen=True)
class Wanted:
    """A model as the command's options have it; ``standing`` is the one in force that was made of
    the loaded layers before."""

    schemas: Schemas
    contract: RasterContract
    given: dict[str, Any]
    standing: Model | None

    @classmethod
    def of(
        cls, settings: Settings, schemas: Schemas, contract: RasterContract, given: dict[str, Any]
    ) -> Wanted:
        """Raises SettingsError where no cell is given and none is known."""
        asked = given["loaded"] and given["out"] is None
        standing = loaded.standing(Database(settings), schemas, contract.id) if asked else None
        if given["cell"] is None and standing is None:
            raise SettingsError("no cell size is given", todo="Give it in metres: --cell 1.")
        return cls(schemas, contract, given, standing)

    @property
    def cell(self) -> float:
        """Metres; that of the model before, where none is given."""
        cell: float | None = self.given["cell"]
        if cell is None and self.standing is not None:
            return round(self.standing.cell_m, 6)
        return cell or 0.0

    @property
    def declared(self) -> Declared:
        """The day of the survey; that of the model before, where none is given."""
        day = declared_date(self.given["acquired"])
        if day is None and self.standing is not None:
            day = self.standing.acquired
        return Declared(acquired=day)

    @property
    def recipe(self) -> str:
        """Stands for all that decides the model, but the rows of layers."""
        job = Job(Path(), self.contract, self.schemas.city)
        return once.digest(self.cell, job.digest)

    @property
    def stands(self) -> bool:
        """Whether the model in force is the one that would be made."""
        found = self.standing
        return (
            found is not None
            and not self.given["anew"]
            and not found.changes
            and found.recipe == self.recipe
            and self.declared.acquired == found.acquired
        )

    def source(self, settings: Settings) -> Source:
        """Reads it; raises SettingsError for options that do not go together."""
        given, contract = self.given, self.contract
        names = (given["contours"], given["spots"], given["breaklines"])
        files = Files(contract.id, *names, declared_crs(given["crs"]), given["column"])
        if given["loaded"]:
            if files.paths:
                raise SettingsError("--loaded and files are given", todo="Give one or the other.")
            found = loaded.read(Database(settings), self.schemas)
            made_of = MadeOf(self.recipe, found.known)
            sheet = loaded.sheet(self.schemas)
            return Source(found.survey, [], list(found.layers), sheet, made_of)
        if files.contours is None and files.spots is None:
            raise SettingsError(
                "neither --contours nor --spots is given", todo="Give at least one, or --loaded."
            )
        survey, findings = read.read(files, self.schemas.city)
        # The sheet is called after the first file it is made of.
        sheet = files.paths[0].name.partition(".")[0]
        return Source(survey, findings, [path.name for path in files.paths], sheet)
