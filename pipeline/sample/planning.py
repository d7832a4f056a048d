"""The detailed plan: its boundary, its zones and their rules."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from pipeline.sample import fixture
from pipeline.sample.arrays import Ints, Objects
from pipeline.sample.arrivals import Arrival
from pipeline.sample.blocks import Use
from pipeline.sample.cadastre import jalali_dates
from pipeline.sample.cells import Kind
from pipeline.sample.register import text
from pipeline.sample.town import Town

PLAN = "TT-1397"
_MASTER = "TJ-1391"
_MASTER_MARGIN_M = 300.0

_ZONE_OF_BLOCK = {
    Use.PARK: "G1", Use.SCHOOL: "S4", Use.HEALTH: "S4", Use.OFFICE: "S2", Use.SPORTS: "S4",
    Use.OPEN: "G3", Use.RELIGIOUS: "S4", Use.CAMPUS: "S4",
}  # fmt: skip
_ZONE_OF_CELL = {Kind.INDUSTRY: "S3", Kind.GARDENS: "G2", Kind.RIVER: "G3"}
ZONES = {
    "R1": ("مسکونی", "مسکونی کم تراکم"),
    "R2": ("مسکونی", "مسکونی تراکم متوسط"),
    "R3": ("مسکونی", "مسکونی پر تراکم"),
    "S1": ("تجاری و خدماتی", "راسته تجاری"),
    "S2": ("اداری و انتظامی", "اداری"),
    "S3": ("صنعتی", "کارگاهی و صنعتی"),
    "S4": ("فرهنگی و هنری", "خدمات عمومی"),
    "M1": ("مسکونی", "مختلط مسکونی و تجاری"),
    "G1": ("پارک و فضای سبز", "پارک"),
    "G2": ("باغات و کشاورزی", "باغات"),
    "G3": ("طبیعی", "حفاظت طبیعی و حریم رودخانه"),
}


def documents(town: Town) -> Arrival:
    """The detailed plan over what is built, and the master plan over the city and its margin."""
    city = town.city
    built = np.unique(city.blocks.cell)
    river = np.flatnonzero(city.cells.kind == Kind.RIVER)
    inside = np.union1d(built, river[river < built[-1]])
    whole = shapely.coverage_union_all(town.areas.shapes)
    shapes = np.empty(2, dtype=object)
    shapes[:] = [
        shapely.coverage_union_all(town.areas.shapes[inside]),
        shapely.buffer(whole, _MASTER_MARGIN_M, join_style="mitre"),
    ]
    shapes = np.array(
        [s if s.geom_type == "MultiPolygon" else shapely.MultiPolygon([s]) for s in shapes]
    )
    frame = pd.DataFrame(
        {
            "KOD_TARH": [PLAN, _MASTER],
            "ONVAN": ["طرح تفصیلی شهر قم", "طرح جامع شهر قم"],
            "ONVAN_LATIN": ["Detailed plan of Qom", "Master plan of Qom"],
            "NOE": ["طرح تفصیلی", "طرح جامع"],
            "وضعیت": ["مصوب", "مصوب"],
            "SHOMARE": ["310/21547", "300/8812"],
            "TARIKH": ["1397/06/21", "1391/12/05"],
            "URL": ["https://example.org/plans/tt-1397.pdf", None],
        }
    )
    safe = np.ones(2, dtype=np.bool_)
    return Arrival(
        "plan_documents", "tarh.gpkg", "GPKG", frame, shapes, "MultiPolygon", "tarh", safe=safe
    )


def _block_zones(town: Town) -> Objects:
    """The zone code of every block (blocks,)."""
    city, rng = town.city, town.city.rng("zones")
    kind = city.cells.kind[city.blocks.cell]
    of_cell = rng.choice(
        np.array(["R1", "R2", "R3"], dtype=object), len(city.cells), p=[0.25, 0.5, 0.25]
    )
    of_cell[city.cells.home] = fixture.ZONE_CODE
    zone = of_cell[city.blocks.cell].astype(object)
    zone[kind == Kind.OLD] = "R1"
    for number, code in _ZONE_OF_CELL.items():
        zone[kind == number] = code
    for use, code in _ZONE_OF_BLOCK.items():
        zone[city.blocks.use == use] = code
    return zone


def _halves(town: Town, zone: Objects) -> tuple[Ints, Objects, Objects]:
    """Some blocks are cut across: their far end is mixed use, also through the middle of plots.

    Returns for every piece its cell, its zone code and its polygon.
    """
    city, rng = town.city, town.city.rng("zone cuts")
    blocks = city.blocks
    homes = np.char.startswith(zone.astype(str), "R")
    cut = np.flatnonzero(homes & (rng.random(len(zone)) < 0.07) & (blocks.cell != city.cells.home))
    at = np.round(
        blocks.p0[cut] + (blocks.p1 - blocks.p0)[cut] * rng.uniform(0.3, 0.7, len(cut)), 3
    )
    left, right = blocks.p0[cut] - 4.0, at
    low, high = blocks.q0[cut] - 4.0, blocks.q1[cut] + 4.0
    corners = [(left, low), (right, low), (right, high), (left, high)]
    ring = np.stack([city.place(blocks.cell[cut], p, q) for p, q in corners], axis=1)
    knife = shapely.polygons(ring)
    shape = city.block_shapes[cut]
    near, far = shapely.intersection(shape, knife), shapely.difference(shape, knife)
    whole = np.setdiff1d(np.arange(len(zone)), cut)
    pieces = np.concatenate([city.block_shapes[whole], near, far])
    code = np.concatenate([zone[whole], zone[cut], np.full(len(cut), "M1", dtype=object)])
    owner = np.concatenate([whole, cut, cut])
    return blocks.cell[owner], code, pieces


def zones(town: Town) -> Arrival:
    """Zones: the blocks of one cell with the same code, and the river."""
    city = town.city
    cell, code, pieces = _halves(town, _block_zones(town))
    river = np.flatnonzero(
        (city.cells.kind == Kind.RIVER) & (np.arange(len(city.cells)) < cell.max())
    )
    cell = np.concatenate([cell, river])
    code = np.concatenate([code, np.full(len(river), "G3", dtype=object)])
    pieces = np.concatenate([pieces, town.areas.shapes[river]])
    number = np.array([list(ZONES).index(value) for value in code])
    group, index = np.unique(cell * 100 + number, return_inverse=True)
    parts, of_part = shapely.get_parts(pieces, return_index=True)
    polygon = shapely.get_type_id(parts) == 3
    parts, owner = parts[polygon], index[of_part[polygon]]
    order = np.argsort(owner, kind="stable")
    shapes = shapely.multipolygons(parts[order], indices=owner[order])
    codes = np.array(list(ZONES), dtype=object)[group % 100]
    words = [ZONES[value] for value in codes]
    frame = pd.DataFrame(
        {
            "KOD_TARH": PLAN,
            "SHENASE": "P-" + text(np.arange(1, len(group) + 1), 5),
            "PAHNE": codes,
            "KARBARI": [use for use, _ in words],
            "SHARH": [description for _, description in words],
            "TARIKH": jalali_dates(city.rng("zone dates"), (1397, 1402), len(group)),
        }
    )
    safe = group // 100 == city.cells.home
    return Arrival(
        "plan_zones", "pahne.gpkg", "GPKG", frame, shapes, "MultiPolygon", "pahne", safe=safe
    )


_RULES = (
    # zone, no., plot area from-to, street width from-to, coverage, FAR, floors, height, plot, front
    ("R1", 1, None, None, None, None, 60, 120, 2, 7.5, 200, 10),
    ("R2", 1, None, None, None, None, 60, 180, 3, 10.5, 150, 8),
    ("R3", 1, None, 300, None, None, 60, 240, 4, 13.5, 150, 8),
    ("R3", 2, 300, None, 10, None, 60, 300, 5, 16.5, 300, 12),
    ("S1", 1, None, None, 12, None, 80, 240, 3, 12, 50, 5),
    ("S2", 1, None, None, None, None, 50, 200, 4, 14, 500, 20),
    ("S3", 1, None, None, None, None, 60, 100, 2, 12, 500, 20),
    ("S4", 1, None, None, None, None, 50, 150, 3, 12, 500, 20),
    ("M1", 1, None, None, None, 20, 60, 240, 4, 14, 200, 10),
    ("M1", 2, None, None, 20, None, 70, 350, 5, 17.5, 300, 12),
    ("M2", 1, None, None, None, None, 60, 300, 5, 17.5, 300, 12),
    ("G1", 1, None, None, None, None, 5, 5, 1, 4, None, None),
    ("G2", 1, 2000, None, None, None, 5, 10, 2, 7, 2000, 30),
    ("G3", 1, None, None, None, None, 0, 0, 0, 0, None, None),
)
_PERSIAN_DIGITS = str.maketrans("0123456789.", "۰۱۲۳۴۵۶۷۸۹٫")


def zone_rules() -> Arrival:
    """The rules of the zones, a spreadsheet; some of its numbers are typed in Persian digits."""
    names = [
        "zone",
        "no",
        "a0",
        "a1",
        "w0",
        "w1",
        "cov",
        "far",
        "floors",
        "height",
        "plot",
        "front",
    ]
    rules = pd.DataFrame(_RULES, columns=names).astype(object)
    rules = rules.where(rules.notna(), None)
    far = [str(value).translate(_PERSIAN_DIGITS) for value in rules["far"]]
    frame = pd.DataFrame(
        {
            "طرح": PLAN,
            "پهنه": rules["zone"],
            "ردیف": rules["no"],
            "مساحت از": rules["a0"],
            "مساحت تا": rules["a1"],
            "عرض گذر از": rules["w0"],
            "عرض گذر تا": rules["w1"],
            "مبنای مساحت": "باقی مانده",
            "سطح اشغال": rules["cov"],
            "تراکم": far,
            "طبقات": rules["floors"],
            "ارتفاع": rules["height"],
            "حداقل قطعه": rules["plot"],
            "حداقل بر": rules["front"],
            "عقب نشینی": 0,
            "پارکینگ": [1.0 if zone[0] in "RM" else None for zone in rules["zone"]],
            "ملاحظات": None,
        }
    )
    safe = np.asarray(frame["پهنه"] == fixture.ZONE_CODE)
    notes = ("ضوابط طرح تفصیلی", "درصدها نسبت به مساحت باقی‌مانده پس از اصلاح است")
    return Arrival(
        "zone_rules", "zavabet.xlsx", "XLSX", frame, layer="ضوابط", notes=notes, safe=safe
    )
