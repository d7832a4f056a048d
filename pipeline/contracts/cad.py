"""CAD: which layers of a drawing mean what, and how its line work is made into areas."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from pipeline.contracts.base import Frozen

Role = Literal["boundary", "number", "block", "block_number", "frame", "ignore"]


class Cad(Frozen):
    """How drawn sheets become areas.

    ``layers``: the drawing's layers and what each is: ``boundary`` lines bound the areas,
    ``number`` texts name the one they lie in; ``block`` lines and ``block_number`` texts do the
    same for what areas lie in; ``frame`` is the sheet's. ``number_tag``: the attribute of an
    INSERT that holds the number, where there are several. ``snap_mm``: line ends that are so near
    are joined; ``open_mm``: up to so far they are told; ``scale``: of the map, 1 to so many, for
    neighbouring sheets, whose ends are matched within 0.3 mm of it.
    """

    layers: dict[str, Role]
    number_tag: str | None = None
    snap_mm: float = 5.0
    open_mm: float = 500.0
    scale: int = 500

    @model_validator(mode="after")
    def _has_boundaries(self) -> Self:
        if "boundary" not in self.layers.values():
            raise ValueError('no layer is "boundary": nothing would bound an area')
        return self
