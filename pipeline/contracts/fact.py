"""The fact contract: what the database itself works out about the rows of one layer from another.

One file of schemas/facts/ is one fact, one table of the schema ``facts``. Eight kinds:
``overlay``: how much of each subject's area lies in which objects; ``neighbour``: which subjects
share how long a border; ``match``: which object a subject belongs to, by the first rung of a ladder
that gives exactly one; ``edge``: the boundary of each subject in straight runs with one neighbour
each; ``remainder``: what overlays leave of each subject; ``cut``: what becomes of its edges then;
``bevel``: those edges when corners are cut off as well, each cut an edge of its own; ``level``: the
height of the street in front of its edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import model_validator

from pipeline.contracts.base import Frozen, Identifier, Text

FactKind = Literal["overlay", "neighbour", "match", "edge", "remainder", "cut", "bevel", "level"]
Form = Literal["plain", "folded", "code", "plate", "address"]


# Which kinds a setting is for; some cannot do without it.
_OF_KINDS: dict[str, tuple[FactKind, ...]] = {
    "rungs": ("match",),
    "of": ("remainder", "cut", "bevel"),
    "edges": ("cut", "bevel", "level"),
    "level": ("level",),
    "ways": ("edge",),
    "corridor": ("overlay",),
    "strip": ("overlay",),
    "group": ("overlay", "level"),
}
_NEEDED = ("rungs", "of", "edges", "level")


class Chosen(Frozen):
    """Takes only rows whose ``field`` is one of ``values``."""

    field: Identifier
    values: tuple[str, ...]


class Corridor(Frozen):
    """Objects are lines: each stands for the road that it is the axis of.

    ``width`` is the field with the whole width in metres; where ``left`` and ``right`` are given,
    the edges lie so far from the axis instead. ``along`` are fields whose equal values make lines
    one road, so that it has no gaps where they meet.
    """

    width: Identifier
    left: Identifier | None = None
    right: Identifier | None = None
    along: tuple[Identifier, ...] = ()


class Strip(Frozen):
    """Objects are lines: each stands for the strip of ground on its side of the road, ``depth`` (a
    field, in m) wide; the road is the nearest axis of the layer ``toward``."""

    depth: Identifier
    toward: Identifier


class Level(Frozen):
    """Objects are points along streets with a ``height``; ``street`` is the field by which they and
    the streets are named, and only heights whose ``system`` agrees are of one kind."""

    height: Identifier
    street: Identifier
    system: Identifier


class Ways(Frozen):
    """The streets that an edge may lie along: axes of ``layer`` with their whole ``width`` (m).

    The middle of an edge may lie ``margin_m`` beyond half of it, or ``unknown_m`` from an axis
    whose width is not known.
    """

    layer: Identifier
    width: Identifier
    margin_m: float = 3.0
    unknown_m: float = 15.0


class Equal(Frozen):
    """A field of the subject and one of the other layer that say the same, both in ``form``:
    ``folded`` as for searching, ``code`` a parcel code in any order and padding, ``plate`` and
    ``address`` by their numbers and words."""

    subject: Identifier
    other: Identifier
    form: Form = "plain"


class Rung(Frozen):
    """One rung of a ladder: every condition must hold, ``score`` says how sure that makes us.

    ``equal``: fields that agree; ``also``: of the object itself, where ``via`` leads to it.
    ``within_m``: the subject's point lies in the other's area, or at
    most so far from it. ``via``: the other is the subject of that match fact, and its object is
    meant. ``layer``: another layer than the objects'; then the rung only tells how well the place
    is known.
    """

    method: Identifier
    title: Text
    score: float
    equal: tuple[Equal, ...] = ()
    also: tuple[Equal, ...] = ()
    within_m: float | None = None
    via: Identifier | None = None
    layer: Identifier | None = None
    quality: Identifier | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.equal and self.within_m is None:
            raise ValueError("a rung needs equal or within_m")
        if self.via and self.layer:
            raise ValueError("a rung takes via or layer, not both")
        if self.via and (not self.equal or self.within_m is not None):
            raise ValueError("via needs equal, and takes no within_m")
        if self.also and not self.via:
            raise ValueError("also is for rungs with via")
        return self


class FactContract(Frozen):
    """One fact. ``min_area_m2`` and ``min_length_m``: less than that is a matter of drawing.

    ``group``: a field of the objects by whose values an overlay closes (editions of a plan lie over
    each other, and so do censuses). ``closes``: for whom it is told what is in no object, or in
    several: all subjects, those that some object touches, or none.
    ``compare``: pairs of fields, of subject and object, whose differences the report tells.
    ``of``: the overlays whose objects take from subjects; ``edges``: the fact with their edges.
    ``straight_m``: so far an edge may leave its chord; ``ways``: the streets that edges lie along.
    """

    id: Identifier
    title: Text
    description: Text
    kind: FactKind
    subject: Identifier
    object: Identifier
    privacy: Literal["P0", "P1"] = "P1"
    where: Chosen | None = None
    group: Identifier | None = None
    corridor: Corridor | None = None
    closes: Literal["all", "touched", "none"] = "all"
    min_area_m2: float = 0.01
    min_length_m: float = 0.05
    reach_m: float = 0.01
    straight_m: float = 0.05
    ways: Ways | None = None
    strip: Strip | None = None
    level: Level | None = None
    of: tuple[Identifier, ...] = ()
    edges: Identifier | None = None
    rungs: tuple[Rung, ...] = ()
    compare: tuple[Compare, ...] = ()

    @property
    def mutual(self) -> bool:
        """Whether what it says of two rows of one layer stands there from both sides."""
        return self.kind == "neighbour"

    @property
    def builds_on(self) -> tuple[str, ...]:
        """Other facts that this one takes rows from."""
        found = [*self.of, *((self.edges,) if self.edges else ())]
        found += [rung.via for rung in self.rungs if rung.via]
        found += [one.via for one in self.compare if one.via]
        return tuple(dict.fromkeys(found))

    def uses(self, facts: Mapping[str, FactContract]) -> dict[str, set[str]]:
        """The layers this fact derives from, each with the fields it reads there."""
        found = self._drawn_by(facts)
        for rung in self.rungs:
            other = facts[rung.via].subject if rung.via else rung.layer or self.object
            found.setdefault(other, set()).update(pair.other for pair in rung.equal)
            found[self.subject] |= {pair.subject for pair in (*rung.equal, *rung.also)}
            found[self.object] |= {pair.other for pair in rung.also}
        for one in self.compare:
            other = facts[one.via].subject if one.via else self.object
            names = {name for name in (one.object, one.times) if name}
            found.setdefault(other, set()).update(names)
            found[self.subject].add(one.subject)
        return found

    def _drawn_by(self, facts: Mapping[str, FactContract]) -> dict[str, set[str]]:
        """The layers and fields that decide what objects are on the ground, and in which group."""
        fields = [self.group, self.where and self.where.field, self.strip and self.strip.depth]
        lane, level = self.corridor, self.level
        fields += [lane.width, *lane.along, lane.left, lane.right] if lane else []
        fields += [level.height, level.street, level.system] if level else []
        found: dict[str, set[str]] = {self.subject: set()}
        found.setdefault(self.object, set()).update(name for name in fields if name)
        if self.strip:
            found.setdefault(self.strip.toward, set())
        edges = facts[self.edges] if self.edges else self
        if edges.ways:
            named = level.street if level else edges.ways.width
            found.setdefault(edges.ways.layer, set()).add(named)
        return found

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        for name, kinds in _OF_KINDS.items():
            given = getattr(self, name) not in (None, ())
            if given and self.kind not in kinds:
                raise ValueError(f"{name} is for {' and '.join(kinds)}, not for {self.kind}")
            if self.kind in kinds and not given and name in _NEEDED:
                raise ValueError(f"{self.kind} needs {name}")
        if self.kind in ("neighbour", "edge") and self.subject != self.object:
            raise ValueError("neighbours are rows of one layer")
        methods = [rung.method for rung in self.rungs]
        if len(set(methods)) < len(methods):
            raise ValueError("a method stands twice")
        return self


class Compare(Frozen):
    """Two measures of one thing: the subject's and the object's, and what difference is no news.

    ``each`` subject is compared with its object, or the ``sum`` of an object's subjects. ``via``:
    the object's measure is that of the rows that this overlay lays on it: their largest, or with
    ``sum`` their sum, each first multiplied by its field ``times``. A difference tells
    nothing up to ``tolerance`` (a share) or ``least`` (in the measure's unit), whichever is larger.
    """

    id: Identifier
    title: Text
    subject: Identifier
    object: Identifier
    tolerance: float = 0.0
    least: float = 0.0
    how: Literal["each", "sum"] = "each"
    via: Identifier | None = None
    times: Identifier | None = None


FactContract.model_rebuild()
