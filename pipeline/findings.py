"""Findings: what is wrong with arriving data, as values. The catalogue is schemas/findings.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tomli

from pipeline import paths
from pipeline.errors import ContractError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding; ``error`` quarantines the row, ``quality`` is its ISO 19157 element.

    ``quotes``: its value or detail may be text of the file that no contract classes.
    """

    code: str
    severity: Severity
    quality: str
    en: str
    fa: str
    quotes: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: where it is (layer, key, line of the file, field) and what was found.

    ``line`` counts features or data rows from 1; ``geometry`` is in the city's CRS.
    """

    code: str
    layer: str
    key: str | None = None
    line: int | None = None
    field: str | None = None
    value: str | None = None
    detail: str | None = None
    geometry: BaseGeometry | None = None

    @property
    def wkb(self) -> bytes | None:
        """The geometry as WKB, or None."""
        return None if self.geometry is None else bytes(self.geometry.wkb)


@dataclass(frozen=True)
class Catalog:
    """All kinds of findings by code."""

    kinds: Mapping[str, Kind]

    @classmethod
    def load(cls, path: Path | None = None) -> Catalog:
        """The catalogue of schemas/findings.toml."""
        path = path or paths.schemas() / "findings.toml"
        return _read(path, path.stat().st_mtime_ns)

    @cached_property
    def codes(self) -> frozenset[str]:
        """All codes."""
        return frozenset(self.kinds)

    def severity(self, code: str) -> Severity:
        """The severity of ``code``."""
        return self.kinds[code].severity

    def message(self, finding: Finding, language: str = "en") -> str:
        """The finding in words, in English or (``fa``) Persian."""
        kind = self.kinds[finding.code]
        template = kind.fa if language.startswith("fa") else kind.en
        return template.format(
            field=finding.field or "",
            value=finding.value or "",
            detail=finding.detail or "",
            key=finding.key or "",
            line=finding.line or "",
        )


@lru_cache(maxsize=4)
def _read(path: Path, _written: int) -> Catalog:
    """Read once for as long as nobody writes it: it takes a command a hundredth of a second."""
    raw = tomli.loads(path.read_text(encoding="utf-8"))
    kinds: dict[str, Kind] = {}
    for family, codes in raw.items():
        for name, entry in codes.items():
            code = f"{family}.{name}"
            try:
                kinds[code] = Kind(code=code, **entry)
            except TypeError as error:
                raise ContractError(f"{code}: {error}", where=str(path)) from error
    return Catalog(kinds)
