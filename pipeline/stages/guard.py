"""Guard: a delivery is compared with the last one of its feed; what differs too much stops it.

From a tenth of a limit on, a difference is a warning; beyond the limit the load is refused, unless
whoever loads accepts it by its name. Names are the codes of the findings.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.contracts.layer import Limits
from pipeline.db.ledger import Published
from pipeline.errors import GuardError
from pipeline.stages.batch import Found
from pipeline.stages.context import ACCEPTABLE, Context
from pipeline.stages.profile import Bounds, Known, Profile

_TOLD_FROM = 0.1
# A twentieth of twenty rows is a twentieth.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Difference:
    """How far a delivery differs from the last: ``share`` is held against ``limit``.

    A negative share is a difference that never stops a load; with ``both`` it is told of.
    """

    code: str
    share: float
    limit: float
    value: str
    former: str
    said: str
    field: str | None = None
    both: bool = False

    @property
    def stops(self) -> bool:
        """Whether it is more than the contract takes."""
        return self.share > self.limit + _ROUNDING

    @property
    def tells(self) -> bool:
        """Whether it is worth a warning."""
        share = abs(self.share) if self.both else self.share
        return share > self.limit * _TOLD_FROM + _ROUNDING


def guard(
    arrived: int, profile: Profile, context: Context, last: Published | None, where: str
) -> Found:
    """What is told of the delivery as a whole; GuardError if it must not be published.

    ``arrived`` are the rows that the feed means, ``last`` is the feed's published delivery.
    """
    limits = context.limits
    _enough(arrived, limits, where)
    found = Found()
    if limits.max_rows is not None and arrived > limits.max_rows:
        found.whole("rows.too_many", value=arrived, detail=limits.max_rows)
    if last is None:
        return found
    now = profile.known()
    differences = _of_rows(arrived, context, last)
    former = Known.read(last.profile)
    if former is not None:
        found.extend(_columns(now, former, last))
        differences += _of_content(now, former, profile, context)
    _refuse(differences, context, where)
    for one in differences:
        if one.tells:
            accepted = ", accepted by name" if one.stops else ""
            detail = f"{one.former} in run {last.id}{accepted}"
            found.whole(one.code, field_name=one.field, value=one.value, detail=detail)
    return found


def overridden(found: Found, context: Context) -> list[str]:
    """Which of the names that were accepted have been needed."""
    needed = {
        code
        for code, detail in zip(found.code, found.detail, strict=True)
        if code in ACCEPTABLE and (detail or "").endswith("accepted by name")
    }
    return sorted(needed & context.accept)


def _enough(arrived: int, limits: Limits, where: str) -> None:
    if arrived < limits.min_rows:
        raise GuardError(
            f"{arrived} rows arrived, at least {limits.min_rows} were expected",
            where=where,
            todo="What was published stays. Ask for all of it, or change the feed's limits.",
        )


def _refuse(differences: list[Difference], context: Context, where: str) -> None:
    stopping = [one for one in differences if one.stops and one.code not in context.accept]
    if not stopping:
        return
    names = " ".join(f"--accept {code}" for code in dict.fromkeys(one.code for one in stopping))
    raise GuardError(
        "; ".join(one.said for one in stopping),
        where=where,
        todo=f"What was published stays. If it is meant, load it with {names}, "
        "or change the feed's limits.",
    )


def _columns(now: Known, former: Known, last: Published) -> Found:
    """Which source columns are new, gone or of another type; their order does not matter."""
    found, when = Found(), f"run {last.id}, {last.day}"
    for name, kind in now.columns.items():
        before = former.columns.get(name)
        if before is None:
            found.whole("column.new", field_name=name, detail=when)
        elif before != kind:
            found.whole("column.retyped", field_name=name, value=kind, detail=f"{before}, {when}")
    for name in former.columns.keys() - now.columns.keys():
        found.whole("column.gone", field_name=name, detail=when)
    return found


def _of_rows(arrived: int, context: Context, last: Published) -> list[Difference]:
    if context.feed.delivery != "full" or not last.meant:
        return []
    limit = context.limits.max_drop_share
    return [
        Difference(
            "rows.drop", 1 - arrived / last.meant, limit, str(arrived), str(last.meant),
            f"{arrived} rows arrived, {last.meant} came last time: a drop of more than {limit:.0%}",
        )
    ]  # fmt: skip


def _of_content(now: Known, former: Known, profile: Profile, context: Context) -> list[Difference]:
    """Of a part of the city, neither extent nor total area say anything."""
    limits = context.limits
    found = _of_nulls(now, former, limits.max_null_rise)
    if not (now.whole and former.whole and now.rows and former.rows):
        return found
    if former.extent is not None:
        found.append(_of_extent(now, former.extent, profile, limits.max_outside_share))
    if former.measure:
        found.append(_of_measure(now, former, profile.unit, limits.max_measure_drop))
    return found


def _of_extent(now: Known, extent: Bounds, profile: Profile, limit: float) -> Difference:
    share = profile.outside / now.rows
    return Difference(
        "extent.shift", share, limit, str(profile.outside), _box(extent),
        f"{share:.0%} of the rows lie outside the extent of the last delivery: "
        f"more than {limit:.0%}",
    )  # fmt: skip


def _of_measure(now: Known, former: Known, unit: str, limit: float) -> Difference:
    """What rows lose of area or length beside what goes with the rows that no longer come."""
    measure, before = now.measure or 0.0, former.measure or 0.0
    expected = before * min(1.0, now.rows / former.rows)
    size, was = (f"{one:,.0f} {unit}" for one in (measure, before))
    return Difference(
        "measure.change", 1 - measure / expected, limit, size, was,
        f"all together measure {size}, last time {was}: a drop of more than {limit:.0%} "
        "beside that of the rows",
        both=True,
    )  # fmt: skip


def _of_nulls(now: Known, former: Known, limit: float) -> list[Difference]:
    if not now.rows or not former.rows:
        return []
    found = []
    for name in now.nulls.keys() & former.nulls.keys():
        share, before = now.nulls[name] / now.rows, former.nulls[name] / former.rows
        said = (
            f"{name} is empty in {share:.0%} of the rows, in {before:.0%} last time: "
            f"a rise of more than {limit:.0%}"
        )
        found.append(
            Difference(
                "nulls.rise", share - before, limit, f"{share:.1%}", f"{before:.1%}", said, name
            )
        )
    return sorted(found, key=lambda one: one.field or "")


def _box(extent: Bounds) -> str:
    return "x {0:.0f} to {2:.0f}, y {1:.0f} to {3:.0f}".format(*extent)
