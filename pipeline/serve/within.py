"""What belongs to an area: the features in it, and rows without a place that name such features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from pipeline.derive.columns import GEOMETRY
from pipeline.serve.clause import Binder, Clause, template
from pipeline.serve.served import Served

_AREAS = ("Polygon", "MultiPolygon")


@dataclass(frozen=True)
class Area:
    """One feature of ``served`` by its key; all that the audience sees may be cut by it."""

    served: Served
    key: str

    @property
    def column(self) -> str:
        """The published name of the key."""
        return self.served.city.published(self.served.layer.key[0])

    @property
    def name(self) -> str:
        """What files of it are called."""
        return f"{self.served.id}-{self.key}"

    @staticmethod
    def can_be(served: Served) -> bool:
        """Whether features of ``served`` are areas with one key that the audience sees."""
        layer = served.layer
        shaped = layer.geometry is not None and layer.geometry.type in _AREAS
        return (
            shaped and len(layer.key) == 1 and served.city.published(layer.key[0]) in served.kinds
        )


def clause(one: Served, area: Area, catalog: Mapping[str, Served]) -> Clause | None:
    """The condition by which features of ``one`` belong to ``area``; None: all do, since nothing
    says where they are."""
    binder = Binder("area")
    made = _inside(one, area, binder)
    if made is None:
        made = _named(one, area, catalog, binder)
    return None if made is None else binder.clause(made, varied=True)


def _inside(one: Served, area: Area, binder: Binder) -> sql.Composable | None:
    """Points on the border are inside, shapes that only touch it are not."""
    geometry = one.layer.geometry
    if geometry is None:
        return None
    value = binder.add(area.key, "text")
    ground = template("area").format(
        geom=sql.Identifier(GEOMETRY), view=area.served.view, key=sql.Identifier(area.column),
        value=value,
    )  # fmt: skip
    kind = "point_inside" if geometry.type.endswith("Point") else "inside"
    return template(kind).format(geom=sql.Identifier(GEOMETRY), area=ground)


def _named(
    one: Served, area: Area, catalog: Mapping[str, Served], binder: Binder
) -> sql.Composable | None:
    others = {other.layer.id: other for other in catalog.values()}
    for name, layer in one.references.items():
        other = others.get(layer)
        inside = _inside(other, area, binder) if other else None
        if other is not None and inside is not None:
            key = sql.Identifier(other.city.published(other.layer.key[0]))
            parts = {"name": sql.Identifier(name), "key": key, "view": other.view}
            return template("names_inside").format(inside=inside, **parts)
    return None
