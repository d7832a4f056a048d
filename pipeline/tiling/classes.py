"""The classes that a layer is drawn by, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipeline.contracts.layer import LayerContract

Classes = npt.NDArray[np.uint8]
NOTHING = 0


@dataclass(frozen=True)
class Legend:
    """Numbers of classes: 1 is the first of the style; the last holds whatever has no class."""

    layer: LayerContract

    @cached_property
    def codes(self) -> tuple[str | None, ...]:
        """The code of each number; that of 0, nothing, is None as well."""
        named = [one.code for one in self.layer.style.classes if one.code is not None]
        return (None, *(named if self.layer.style.field else ()), None)

    @cached_property
    def first_zooms(self) -> npt.NDArray[np.int64]:
        """From which zoom level each number is drawn."""
        styled = {one.code: one.min_zoom for one in self.layer.style.classes}
        rest = styled.get(None, 0)
        return np.array([styled.get(code, rest) for code in self.codes], dtype=np.int64)

    def numbers(self, values: Sequence[str | None]) -> Classes:
        """The number of each of ``values`` of the style's field."""
        rest = len(self.codes) - 1
        known = {code: place for place, code in enumerate(self.codes) if code is not None}
        return np.fromiter((known.get(v or "", rest) for v in values), np.uint8, len(values))
