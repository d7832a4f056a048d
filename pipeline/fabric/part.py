"""A part of a layer in memory: some rows with keys, fields and shapes, and who is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from pipeline.contracts.fabric import Values

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Shapes = npt.NDArray[np.object_]

SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Part:
    """Rows of one layer, ascending by ``ids``. ``own`` are those that are asked about; the others
    lie around them. ``keys`` as people read them; ``shapes`` in the city's CRS."""

    ids: Ints
    keys: pa.Array
    columns: Mapping[str, pa.Array]
    shapes: Shapes
    own: Mask
    known: dict[int, tuple[Part, Ints, Ints]] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def tree(self) -> shapely.STRtree:
        """The index over all shapes."""
        return shapely.STRtree(self.shapes)

    @cached_property
    def areas(self) -> Floats:
        """Areas in square units of the CRS."""
        return np.asarray(shapely.area(self.shapes))

    @cached_property
    def unmatched(self) -> Shapes:
        """The edges of each row that do not match those of its neighbours (lines, mostly empty).

        Of two rows that overlap at least one has such edges.
        """
        return np.asarray(shapely.coverage_invalid_edges(self.shapes))

    def covered(self, others: Part) -> tuple[Ints, Ints]:
        """Pairs of places: a row of ``others``, and a row of ours that it covers. Asked once."""
        if id(others) not in self.known:
            holder, row = self.tree.query(others.shapes, predicate="covers")
            # With the part itself, so that its id is not given to another one meanwhile.
            self.known[id(others)] = (others, holder, row)
        return self.known[id(others)][1:]

    def narrow(self, width: float) -> Shapes:
        """The edges of each row along which a gap of less than ``width`` (CRS units) runs."""
        return np.asarray(shapely.coverage_invalid_edges(self.shapes, gap_width=width))

    def texts(self, places: Ints) -> list[str]:
        """The keys of the rows at ``places``."""
        return [key or "" for key in self.keys.take(pa.array(places)).to_pylist()]

    def joined(self, names: tuple[str, ...]) -> pa.Array:
        """Several fields as one text; null where one of them is."""
        parts = [self.columns[name].cast(pa.string()) for name in names]
        return pc.binary_join_element_wise(*parts, SEPARATOR, null_handling="emit_null")

    def numbers(self, name: str) -> Floats:
        """A numeric field, NaN where it is empty."""
        values = self.columns[name].cast(pa.float64())
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)

    def having(self, values: Values) -> Mask:
        """True for rows whose fields have one of the given values each."""
        chosen = np.ones(len(self), dtype=bool)
        for name, wanted in values.items():
            found = pc.is_in(self.columns[name].cast(pa.string()), pa.array(wanted))
            chosen &= np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
        return chosen

    def only(self, chosen: Mask) -> Part:
        """The rows where ``chosen``."""
        if chosen.all():
            return self
        mask = pa.array(chosen)
        columns = {name: values.filter(mask) for name, values in self.columns.items()}
        shapes = self.shapes[chosen]
        return Part(self.ids[chosen], self.keys.filter(mask), columns, shapes, self.own[chosen])


def lookup(values: pa.Array, among: pa.Array) -> Ints:
    """For each of ``values`` its place in ``among``, -1 where it is null or not there."""
    found = pc.index_in(values.cast(pa.string()), among.cast(pa.string()))
    known = pc.and_(found.is_valid(), values.is_valid())
    places = pc.if_else(known, found, pa.scalar(-1, pa.int32()))
    return np.asarray(places.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def unions(place: Ints, shapes: Shapes) -> tuple[Ints, Shapes]:
    """The shapes of each distinct ``place`` united: the places, ascending, and their unions."""
    order = np.argsort(place, kind="stable")
    met, first = np.unique(place[order], return_index=True)
    made = np.full(len(met), None, dtype=object)
    ends = np.append(first, len(order))
    for at in range(len(met)):
        made[at] = shapely.union_all(shapes[order[ends[at] : ends[at + 1]]])
    return met, made
