"""Levels: the shapes of a layer as they look from afar, made chunk by chunk, fine ones first."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import psycopg
import shapely
from psycopg import sql

from pipeline.contracts.layer import LayerContract
from pipeline.contracts.registry import Schemas
from pipeline.db import queries
from pipeline.db.engine import Connection
from pipeline.derive import generalised
from pipeline.derive.columns import DATA, GEOMETRY, HISTORY
from pipeline.geo import Geometries
from pipeline.tiling import mosaic, sparse
from pipeline.tiling.classes import Classes, Legend
from pipeline.tiling.lattice import CHUNK, Boxes, Ints, Lattice
from pipeline.tiling.mosaic import Cells

#: One shape of a level: across, down, class, WKB.
Shape = tuple[int, int, int, bytes]
_MANY = 0.25
"""From this share of touched rows on, everything is made again: a whole layer reads faster."""


@dataclass
class Levels:
    """The levels of one layer, in the connection's transaction."""

    connection: Connection
    schemas: Schemas
    layer: LayerContract

    @cached_property
    def lattice(self) -> Lattice:
        """The city's grid of chunks and cells."""
        return Lattice.of(self.schemas.city)

    @cached_property
    def legend(self) -> Legend:
        """The classes of the layer's style."""
        return Legend(self.layer)

    @cached_property
    def parts(self) -> dict[str, sql.Composable]:
        """What the queries of schemas/sql/generalised.sql leave open."""
        field = self.layer.style.field
        return {
            "table": sql.Identifier(generalised.GENERALISED, self.layer.id),
            "layer": sql.Identifier(DATA, self.layer.id),
            "history": sql.Identifier(HISTORY, self.layer.id),
            "geom": sql.Identifier(GEOMETRY),
            "code": sql.Identifier("t", field) if field else sql.SQL("NULL::text"),
        }

    def execute(self, name: str, **values: object) -> psycopg.Cursor[tuple[object, ...]]:
        """The named query for this layer."""
        query = sql.SQL(queries.load("generalised")[name]).format(**self.parts)
        return self.connection.cursor(binary=True).execute(
            query, {"layer": self.layer.id, **values}
        )

    def moved(self, run: int) -> Boxes | None:
        """Boxes (n, 4) of what loads after ``run`` have touched; None for too many of them."""
        rows = self.execute("moved", run=run).fetchall()
        total = self.connection.execute(
            queries.load("facts")["estimate"], {"relation": f"{DATA}.{self.layer.id}"}
        ).fetchone()
        if len(rows) > _MANY * max(int(str(total[0])) if total else 0, 1):
            return None
        return np.array(rows, dtype=np.float64).reshape(-1, 4)

    def run(self, boxes: Boxes | None) -> tuple[int, int | None]:
        """Makes the shapes that ``boxes`` touch (None: all); how many, of how many chunks."""
        if boxes is None:
            self.execute("empty")
            self.execute("clear_cells")
        kind = self.layer.geometry.type if self.layer.geometry else ""
        made = self._areas(boxes) if "Polygon" in kind else self._sparse(boxes, kind)
        rows = chunks = 0
        for zoom, touched, shapes in made:
            if boxes is not None:
                self.execute("remove", zoom=zoom, **_columns(touched))
            chunks += len(touched)
            rows += self._copy(zoom, shapes)
        if boxes is None:
            self.execute("analyze")
        return rows, None if boxes is None else chunks

    def _copy(self, zoom: int, shapes: Iterable[Shape]) -> int:
        rows = 0
        query = sql.SQL(queries.load("generalised")["copy"]).format(**self.parts)
        srid = self.schemas.city.srid
        with self.connection.cursor() as cursor, cursor.copy(query) as copy:
            for across, down, number, wkb in shapes:
                shape = shapely.set_srid(shapely.from_wkb(wkb), srid)
                text = shapely.to_wkb(shape, hex=True, include_srid=True)
                copy.write_row((zoom, across, down, self.legend.codes[number], text))
                rows += 1
        return rows

    def _read(self, boxes: Boxes | None) -> tuple[Geometries, Classes]:
        """Shapes by ascending id, with their classes: all, or those that meet ``boxes``."""
        if boxes is None:
            cursor = self.execute("everything")
        else:
            named = dict(zip(("xmin", "ymin", "xmax", "ymax"), boxes.T.tolist(), strict=True))
            cursor = self.execute("within", **named, srid=self.schemas.city.srid)
        rows = sorted(cursor.fetchall())
        shapes = np.empty(len(rows), dtype=object)
        shapes[:] = [row[2] for row in rows]
        codes = [None if row[1] is None else str(row[1]) for row in rows]
        return np.asarray(shapely.from_wkb(shapes), dtype=object), self.legend.numbers(codes)

    def _areas(self, boxes: Boxes | None) -> Iterator[tuple[int, Ints, Iterator[Shape]]]:
        finer: dict[tuple[int, int], Cells] = {}
        for zoom in reversed(self.layer.publish.levels):
            if zoom == self.layer.publish.levels[-1]:
                touched, finer = self._finest(boxes, zoom)
            else:
                touched = np.unique(touched // 2, axis=0)
                finer = self._coarser(touched, zoom, finer, partly=boxes is not None)
            for (across, down), cells in finer.items():
                packed = zlib.compress(cells.tobytes(), 1)
                self.execute("keep_cells", zoom=zoom, across=across, down=down, cells=packed)
            yield zoom, touched, self._outlined(zoom, finer)

    def _outlined(self, zoom: int, level: dict[tuple[int, int], Cells]) -> Iterator[Shape]:
        cell = self.lattice.cell(zoom)
        for (across, down), cells in level.items():
            corner = self._corner(zoom, across, down)
            for number, wkb in mosaic.areas(cells, corner, cell):
                yield across, down, number, wkb

    def _corner(self, zoom: int, across: int, down: int) -> tuple[float, float]:
        edge = self.lattice.edge(zoom)
        return self.lattice.west + across * edge, self.lattice.north - down * edge

    def _finest(self, boxes: Boxes | None, zoom: int) -> tuple[Ints, dict[tuple[int, int], Cells]]:
        """The chunks that ``boxes`` meet, made of the rows themselves."""
        chosen = None if boxes is None else self.lattice.chunks(boxes, zoom)
        shapes, classes = self._read(None if chosen is None else self.lattice.boxes(chosen, zoom))
        if chosen is None:
            chosen = self.lattice.chunks(shapely.bounds(shapes), zoom)
        tree = shapely.STRtree(shapes)
        made = {}
        for (across, down), box in zip(
            chosen.tolist(), self.lattice.boxes(chosen, zoom), strict=True
        ):
            near = np.sort(tree.query(shapely.box(*box)))
            corner, cell = self._corner(zoom, across, down), self.lattice.cell(zoom)
            made[across, down] = mosaic.finest(shapes[near], classes[near], corner, cell)
        return chosen, made

    def _coarser(
        self, touched: Ints, zoom: int, finer: dict[tuple[int, int], Cells], *, partly: bool
    ) -> dict[tuple[int, int], Cells]:
        """``touched`` chunks of a level from the next ``finer`` one, of which some are kept."""
        known = dict(finer)
        if partly:
            quarters = np.concatenate([touched * 2 + step for step in np.ndindex(2, 2)])
            rows = self.execute("cells", zoom=zoom + 1, **_columns(quarters)).fetchall()
            for across, down, packed in rows:
                cells = np.frombuffer(zlib.decompress(packed), np.uint8)  # type: ignore[arg-type]
                known.setdefault((int(str(across)), int(str(down))), cells.reshape(CHUNK, CHUNK))
        return {
            (across, down): mosaic.coarser(
                {
                    (right, below): known[across * 2 + right, down * 2 + below]
                    for right, below in np.ndindex(2, 2)
                    if (across * 2 + right, down * 2 + below) in known
                }
            )
            for across, down in touched.tolist()
        }

    def _sparse(
        self, boxes: Boxes | None, kind: str
    ) -> Iterator[tuple[int, Ints, Iterator[Shape]]]:
        whole = self._read(None) if boxes is None else None
        for zoom in self.layer.publish.levels:
            touched = None
            shapes, classes = whole if whole else (np.zeros(0, object), np.zeros(0, np.uint8))
            if boxes is not None:
                middles = (boxes[:, :2] + boxes[:, 2:]) / 2
                touched = np.unique(self.lattice.holding(middles, zoom), axis=0)
                shapes, classes = self._read(self.lattice.boxes(touched, zoom))
            drawn = self.legend.first_zooms[classes] <= zoom
            shapes, classes = shapes[drawn], classes[drawn]
            places = self.lattice.holding(sparse.centres(shapes), zoom)
            chosen = np.unique(places, axis=0) if touched is None else touched
            yield zoom, chosen, self._thinned(zoom, chosen, (shapes, classes, places), kind)

    def _thinned(
        self, zoom: int, chosen: Ints, rows: tuple[Geometries, Classes, Ints], kind: str
    ) -> Iterator[Shape]:
        shapes, classes, places = rows
        thin = sparse.points if "Point" in kind else sparse.lines
        for across, down in chosen.tolist():
            here = (places[:, 0] == across) & (places[:, 1] == down)
            if here.any():
                for number, wkb in thin(shapes[here], classes[here], self.lattice.cell(zoom)):
                    yield across, down, number, wkb


def _columns(chunks: Ints) -> dict[str, object]:
    return {"across": chunks[:, 0].tolist(), "down": chunks[:, 1].tolist()}
