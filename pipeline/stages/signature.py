"""Signature: do features lie where the file's CRS says? Evidence, not faith.

A mislabelled CRS moves a whole layer by an offset that depends only on the mistake: 176 m for
ED50(ED77) at Qom, a zone's width for the neighbouring UTM zone. A sample of the first rows is put
beside what the database knows of the same keys; an offset that fits a mistake stops the load.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS

from pipeline.contracts.layer import LayerContract
from pipeline.errors import ArrivalError
from pipeline.geo import Floats
from pipeline.stages.batch import Found, Raw, Rows
from pipeline.stages.context import Context
from pipeline.stages.judge import drawn
from pipeline.stages.reference import Reference
from pipeline.stages.suspects import as_read, guesses

MOST, FEW = 2000, 400
_LEAST, _LEAST_PAIRS = 20, 5
_TOLERANCE_M = 5.0
# Shares of points: in the city at all; inside the area they name; inside any area.
_HALF, _GOOD, _FAR = 0.5, 0.9, 0.15
_LOCAL = 100_000.0


@dataclass
class Signature:
    """Gathers a sample of ``most`` rows while a file is read, and judges it once."""

    context: Context
    crs: CRS
    label: str
    reference: Reference | None
    most: int = MOST
    numbers: list[Floats] = field(default_factory=list)
    columns: list[dict[str, pa.Array]] = field(default_factory=list)
    gathered: int = 0
    said: str | None = None
    compared: bool = False

    def add(self, raw: Raw, rows: Rows, found: Found) -> None:
        """Takes some rows of a batch, and judges as soon as there are enough.

        Raises ArrivalError when the file's CRS cannot be what it says.
        """
        if self.said is not None:
            return
        room = self.most - self.gathered
        places = np.unique(np.linspace(0, len(rows) - 1, min(room, len(rows))).astype(np.int64))
        shapes, _ = drawn(raw.take(places), self.context, self.crs)
        boxes = shapely.bounds(shapes)
        good = np.isfinite(boxes).all(axis=1)
        chosen = pa.array(places[good])
        self.numbers.append((boxes[good, :2] + boxes[good, 2:]) / 2)
        self.columns.append({name: rows.columns[name].take(chosen) for name in self._names()})
        self.gathered += int(good.sum())
        if self.gathered >= self.most:
            self.judge(found)

    def judge(self, found: Found) -> None:
        """What the sample shows; call it at the file's end, in case there were few rows."""
        if self.said is not None or not self.gathered:
            return
        self.said = "nothing to compare with"
        numbers = np.concatenate(self.numbers)
        read = as_read(numbers, self.crs, self.context.city)
        self._in_city(numbers, read)
        if self.reference is None:
            return
        keys = {
            name: pa.concat_arrays([one[name] for one in self.columns]) for name in self._names()
        }
        self._beside_former(numbers, read, keys, found)
        if not self.compared:
            self._in_named_areas(numbers, read, keys)
        if not self.compared:
            self._in_areas_around(numbers, read)

    def _names(self) -> list[str]:
        names = list(self.context.layer.key)
        if self.reference is not None:
            names += [name for layer in self.reference.named() for name in layer.key]
        return list(dict.fromkeys(names))

    def _in_city(self, numbers: Floats, read: Floats) -> None:
        """A file that lies beside the city as a whole, and would lie in it if it said otherwise."""
        if len(read) < _LEAST or self._share(read) >= _HALF:
            return
        for guess in guesses(self.crs, self.context.city):
            share = self._share(guess.places(numbers))
            if share >= _HALF:
                raise self._contradiction(
                    f"but lie outside of the city; read as {guess.name}, {share:.0%} lies in it"
                )
        if np.abs(numbers).max() < _LOCAL and self.crs.is_projected:
            (x, y), (u, v) = numbers.min(axis=0), numbers.max(axis=0)
            raise self._contradiction(
                f"but run from {x:.6g}, {y:.6g} to {u:.6g}, {v:.6g}, as those of a local grid do"
            )

    def _share(self, xy: Floats) -> float:
        xmin, ymin, xmax, ymax = self.context.city.extent.bounds
        x, y = xy[:, 0], xy[:, 1]
        return float(((x >= xmin) & (x <= xmax) & (y >= ymin) & (y <= ymax)).mean())

    def _beside_former(
        self, numbers: Floats, read: Floats, keys: dict[str, pa.Array], found: Found
    ) -> None:
        """By key against the layer's own former version: control points, parcels, anything."""
        if self.reference is None:
            raise TypeError("there is no reference")
        layer, unit = self.context.layer, self.context.city.metres_per_unit
        if not self.reference.holds_layer:
            return
        where, known = self.reference.places({name: keys[name] for name in layer.key})
        if len(where) < _LEAST_PAIRS:
            return
        self.compared = True
        off = (read[where] - known) * unit
        middle = np.median(off, axis=0)
        spread = float(np.median(np.hypot(*(off - middle).T)))
        told = f"{len(where)} of {layer.id} by key lie {_vector(middle)} off"
        self.said = told
        if np.hypot(*middle) <= _TOLERANCE_M:
            return
        near = self._explained(numbers[where], read[where], middle, spread)
        if near:
            raise self._contradiction(f"but {told} what is published, as data in {near} would")
        if spread <= _TOLERANCE_M:
            found.whole("crs.offset", value=_vector(middle), detail=f"{len(where)} {layer.id}")

    def _explained(self, numbers: Floats, read: Floats, middle: Floats, spread: float) -> str:
        """The mistakes whose offset at this place is ``middle``, nearest first."""
        unit, near = self.context.city.metres_per_unit, []
        for guess in guesses(self.crs, self.context.city):
            offset = np.median((read - guess.places(numbers)) * unit, axis=0)
            far = float(np.hypot(*(middle - offset)))
            if far <= _TOLERANCE_M and spread <= max(_TOLERANCE_M, float(np.hypot(*offset)) / 4):
                near.append((far, guess.name))
        return " or ".join(name for _, name in sorted(near))

    def _in_named_areas(self, numbers: Floats, read: Floats, keys: dict[str, pa.Array]) -> None:
        """Buildings lie in the parcels they name, parcels in their blocks; smallest areas first."""
        if self.reference is None:
            return
        some = self._some(len(read))
        for layer in self.reference.named():
            mine = {name: keys[name].take(pa.array(some)) for name in layer.key}
            self._compare(layer, numbers[some], read[some], mine)
            if self.compared:
                return

    def _in_areas_around(self, numbers: Floats, read: Floats) -> None:
        if self.reference is None:
            return
        some = self._some(len(read))
        for layer in self.reference.around():
            self._compare(layer, numbers[some], read[some], None)

    @staticmethod
    def _some(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.unique(np.linspace(0, count - 1, min(count, FEW)).astype(np.int64))

    def _compare(
        self, layer: LayerContract, numbers: Floats, read: Floats, keys: dict[str, pa.Array] | None
    ) -> None:
        if self.reference is None:
            return
        ((good, all_),) = self.reference.inside(layer, [read], keys)
        if all_ < _LEAST:
            return
        self.compared, share = True, good / all_
        whose = "the" if keys else "any"
        self.said = f"{good} of {all_} lie in {whose} {layer.id} they name"
        if not keys:
            self.said = f"{good} of {all_} lie in a {layer.id}"
        if share >= _GOOD:
            return
        tried = list(guesses(self.crs, self.context.city))
        counts = self.reference.inside(layer, [one.places(numbers) for one in tried], keys)
        best, guess = max(
            zip([one / max(of, 1) for one, of in counts], tried, strict=True),
            key=lambda pair: pair[0],
        )
        if self._clearly_better(best, share, keyed=keys is not None):
            raise self._contradiction(f"but {self.said}; read as {guess.name}, {best:.0%} do")

    @staticmethod
    def _clearly_better(best: float, share: float, *, keyed: bool) -> bool:
        if keyed:
            return best >= _HALF and share <= best / 2
        return best >= _GOOD and share <= best - _FAR

    def _contradiction(self, what: str) -> ArrivalError:
        return ArrivalError(
            f"its coordinates are said to be {_name(self.crs)}, {what}",
            where=self.label,
            todo="Ask the sender which CRS it is, and have the file or the feed's crs say that.",
        )


def _vector(offset: Floats) -> str:
    return f"{np.hypot(*offset):.1f} m (E {offset[0]:+.1f}, N {offset[1]:+.1f})"


def _name(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.name
