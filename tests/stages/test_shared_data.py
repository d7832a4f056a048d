"""Every file of the shared test data: what comes of it is what its README measured.

Broken ones are in test_bad_inputs.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import shapely

from pipeline import testing
from pipeline.errors import ArrivalError
from pipeline.stages import container, curves
from pipeline.stages.agree import meant_crs
from pipeline.stages.readers import open_dataset

FOLDER = testing.shared_data()
# Not arrivals by themselves: sidecars, and what people read.
BESIDE = (".shx", ".prj", ".cpg", ".dbf", ".msk", ".md", ".yaml")
KINDS = {0: "point", 1: "line", 3: "area", 5: "lines", 6: "areas", -1: "none"}
LAMBERT = 2154


@dataclass(frozen=True)
class Holds:
    """A layer: its format, rows, shapes by kind, CRS (EPSG, or its name) and encoding, which is
    what the file says, or after a question mark what was found out."""

    driver: str
    rows: int
    shapes: str = ""
    crs: int | str | None = None
    encoding: str | None = None


def geojson(rows: int, shapes: str) -> Holds:
    """GeoJSON in longitude and latitude."""
    return Holds("GeoJSON", rows, shapes, 4326)


def topojson(rows: int, shapes: str) -> Holds:
    """TopoJSON, which names no CRS."""
    return Holds("TopoJSON", rows, shapes)


def csv(rows: int, encoding: str | None = None) -> Holds:
    """A plain table."""
    return Holds("CSV", rows, encoding=encoding)


def dutch(rows: int, driver: str = "SQLite", shapes: str = "area") -> Holds:
    """A layer in the Dutch CRS."""
    return Holds(driver, rows, f"{rows} {shapes}", 28992)


def plan(rows: int, shapes: str) -> Holds:
    """A Shapefile of the French plan."""
    return Holds("ESRI Shapefile", rows, shapes, LAMBERT, "1252")


IMAGE = "files are not taken. It is an image: give it to `makan raster load`."
UNREAD = "is in no format that is read here"
PLU = "plu_fr/30014_PLU_20171013"
BGT, BRK, EDIGEO = "dutch/bgt_otterlo.zip", "dutch/brk_v5/kadastralekaart", "edigeo_cornillon"
COUNTIES = "iran/derived_shapefiles/counties"
CAMBRIDGE = "cambridge_ma"
# file, or file!member, or file#layer: what it holds, or how it is refused.
EXPECTED: dict[str, Holds | str] = {
    "aerial_ngi/camera_pos_ori.txt": csv(3),
    "aerial_ngi/dem.tif": IMAGE,
    "aerial_ngi/derived_topo/contours_50m.shp.zip": Holds(
        "ESRI Shapefile", 147, "147 line", "unknown", "UTF-8"
    ),
    "aerial_ngi/derived_topo/spot_heights.csv": csv(400),
    "aerial_ngi/frames/3324c_2015_1004_05_0182_RGB.tif": IMAGE,
    "aerial_ngi/frames/3324c_2015_1004_05_0184_RGB.tif": IMAGE,
    "aerial_ngi/ngi_ext_param.geojson": Holds("GeoJSON", 4, "4 point", 4979),
    "aerial_ngi/ngi_xyz_opk.csv": csv(4),
    "aerial_ngi/reference_ortho/3324c_2015_1004_05_0182_ortho.tif": IMAGE,
    "aerial_ngi/reference_ortho/3324c_2015_1004_05_0184_ortho.tif": IMAGE,
    f"{CAMBRIDGE}/basemap/BASEMAP_Curbs.topojson": topojson(
        9670, "9592 line, 74 none, 2 point, 2 lines"
    ),
    f"{CAMBRIDGE}/basemap/BASEMAP_MiscStructures.geojson": geojson(637, "636 area, 1 areas"),
    f"{CAMBRIDGE}/basemap/BASEMAP_ParkingLots.topojson": topojson(1533, "1517 area, 16 areas"),
    f"{CAMBRIDGE}/basemap/BASEMAP_Porches.topojson": topojson(4838, "4831 area, 6 line, 1 areas"),
    f"{CAMBRIDGE}/basemap/BASEMAP_Roads.topojson": topojson(205, "200 area, 5 areas"),
    f"{CAMBRIDGE}/basemap/HYDRO_WaterBodies.topojson": topojson(74, "73 area, 1 areas"),
    f"{CAMBRIDGE}/basemap/RECREATION_OpenSpace.topojson": topojson(276, "266 area, 10 areas"),
    f"{CAMBRIDGE}/basemap/TRANS_Centerlines.geojson": geojson(2643, "2642 line, 1 lines"),
    f"{CAMBRIDGE}/boundary/BOUNDARY_CDDNeighborhoods.geojson": geojson(13, "13 area"),
    f"{CAMBRIDGE}/boundary/BOUNDARY_CityBoundary.geojson": geojson(1, "1 area"),
    f"{CAMBRIDGE}/cadastre/ASSESSING_EasementsFY2014.geojson": geojson(1150, "1150 line"),
    f"{CAMBRIDGE}/cadastre/ASSESSING_ParcelMapIndexFY2014.geojson": geojson(
        286, "285 area, 1 areas"
    ),
    f"{CAMBRIDGE}/cadastre/ASSESSING_ParcelsFY2013.topojson": topojson(
        13159, "13155 area, 4 areas"
    ),
    f"{CAMBRIDGE}/cadastre/ASSESSING_ParcelsFY2013.xml": UNREAD,
    f"{CAMBRIDGE}/cadastre/ASSESSING_ParcelsFY2014.topojson": topojson(
        13116, "13108 area, 8 areas"
    ),
    f"{CAMBRIDGE}/cadastre/ASSESSING_ParcelsFY2014.xml": UNREAD,
    f"{CAMBRIDGE}/cadastre/ASSESSING_ResidentialDistrictsFY2014.geojson": geojson(19, "19 area"),
    f"{CAMBRIDGE}/cadastre/ASSESSING_SubParcelLinesFY2014.geojson": geojson(1862, "1862 line"),
    f"{CAMBRIDGE}/cadastre/State_Use_Codes.csv": csv(281),
    f"{CAMBRIDGE}/cadastre/TaxFY13.csv": csv(27424),
    f"{CAMBRIDGE}/cadastre/TaxFY14.csv": csv(27528),
    f"{CAMBRIDGE}/census/DEMOGRAPHICS_BlockGroups2010.geojson": geojson(113, "100 area, 13 areas"),
    f"{CAMBRIDGE}/census/DEMOGRAPHICS_Blocks2000.geojson": geojson(886, "886 area"),
    f"{CAMBRIDGE}/census/DEMOGRAPHICS_Blocks2010.geojson": geojson(1201, "1186 area, 15 areas"),
    f"{CAMBRIDGE}/census/derived_blocks2000_population.csv": csv(886),
    f"{CAMBRIDGE}/census/derived_blocks2000_population_numeric_codes.xlsx": Holds("XLSX", 886),
    f"{CAMBRIDGE}/derived/basemap_east_cambridge_R2010_feet.dxf.zip": Holds(
        "DXF", 2278, "1472 line, 806 point", None, "UTF-8"
    ),
    f"{CAMBRIDGE}/derived/parcels_fy2014_epsg2249_feet.shp.zip": Holds(
        "ESRI Shapefile", 13115, "13108 area, 7 areas", 2249, "UTF-8"
    ),
    f"{CAMBRIDGE}/derived/parcels_maps1-29_no_prj_no_cpg.shp.zip": Holds(
        "ESRI Shapefile", 806, "806 area"
    ),
    f"{CAMBRIDGE}/hazard/FEMA_FloodPlains100Year.topojson": topojson(21, "19 area, 2 areas"),
    f"{CAMBRIDGE}/postcodes/ADDRESS_MasterAddressBlocks.geojson": geojson(749, "749 area"),
    f"{CAMBRIDGE}/postcodes/BOUNDARY_Zipcodes.geojson": geojson(5, "5 area"),
    f"{CAMBRIDGE}/postcodes/Master_Address_Points_of_Interest.csv": csv(1214, "UTF-8"),
    f"{CAMBRIDGE}/zoning/CDD_SpecialPermitAreas.geojson": geojson(355, "339 area, 16 areas"),
    f"{CAMBRIDGE}/zoning/CDD_ZoningDistricts.geojson": geojson(261, "261 area"),
    f"{CAMBRIDGE}/zoning/CDD_ZoningOverlayDistricts.geojson": geojson(53, "44 area, 9 areas"),
    f"{CAMBRIDGE}/zoning/ZoneListFromMunicode.csv": csv(56),
    "delft_lidar_bgt/ahn3/ahn3_cropped_2.laz": "files are not taken. It is a point cloud",
    "delft_lidar_bgt/bgt/bgt_begroeidterreindeel.sqlite": dutch(126),
    "delft_lidar_bgt/bgt/bgt_kunstwerkdeel.sqlite": dutch(1),
    "delft_lidar_bgt/bgt/bgt_onbegroeidterreindeel.sqlite": dutch(81),
    "delft_lidar_bgt/bgt/bgt_overbruggingsdeel.sqlite": dutch(3),
    "delft_lidar_bgt/bgt/bgt_pand.sqlite": dutch(160),
    "delft_lidar_bgt/bgt/bgt_scheiding.sqlite": dutch(57),
    "delft_lidar_bgt/bgt/bgt_waterdeel.sqlite": dutch(3),
    "delft_lidar_bgt/bgt/bgt_wegdeel.sqlite": dutch(151),
    "dutch/TOP10NL_1_2_sample.zip#Gebouw": dutch(3, "GML"),
    "dutch/TOP10NL_1_2_sample.zip#Relief": Holds("GML", 6, "3 line, 3 none", 28992),
    "dutch/TOP10NL_1_2_sample.zip#Wegdeel": dutch(3, "GML", "point"),
    BGT: "holds several layers: bgt_bak.gml, ",
    f"{BGT}!bgt_pand.gml": Holds("GML", 2273, "2273 areas"),
    f"{BGT}!bgt_wegdeel.gml": dutch(2444, "GML"),
    f"{BGT}!bgt_scheiding.gml": Holds("GML", 396, "387 line, 9 area", 28992),
    f"{BGT}!bgt_paal.gml": dutch(410, "GML", "point"),
    f"{BGT}!bgt_mast.gml": "holds no layer",
    f"{BRK}_openbareruimtelabel.gml": Holds("GML", 10, "10 point"),
    f"{BRK}_pand.gml": Holds("GML", 22, "22 areas"),
    f"{BRK}_perceel.gml": dutch(11, "GML"),
    f"{EDIGEO}/edigeo-130290000A01.tar.bz2#PARCELLE_id": Holds("EDIGEO", 389, "389 area", LAMBERT),
    f"{EDIGEO}/edigeo-130290000A01.tar.bz2#PARCELLE_id_LABEL": Holds(
        "EDIGEO", 389, "389 point", LAMBERT
    ),
    f"{EDIGEO}/edigeo-130290000A01.tar.bz2#BATIMENT_id": Holds("EDIGEO", 239, "239 area", LAMBERT),
    "etalab_paris18/cadastre-75118-parcelles.json": geojson(6821, "6821 area"),
    "iran/admin_codes/city.csv": csv(1554, "?UTF-8"),
    "iran/admin_codes/county.csv": csv(448, "?UTF-8"),
    "iran/admin_codes/province.csv": csv(31, "?UTF-8"),
    f"{COUNTIES}_cp1256_with_cpg.shp.zip": Holds("ESRI Shapefile", 19, "19 area", 4326, "CP1256"),
    f"{COUNTIES}_utf8_no_cpg.shp.zip": Holds("ESRI Shapefile", 19, "19 area", 4326, "?UTF-8"),
    f"{COUNTIES}_utf8_with_cpg.shp.zip": Holds("ESRI Shapefile", 19, "19 area", 4326, "UTF-8"),
    "iran/osm_counties/IR-23.all.geojson": geojson(33, "17 point, 16 areas"),
    "iran/osm_counties/IR-25.all.geojson": geojson(6, "3 areas, 3 point"),
    "iran/persian_text_cases.csv": csv(25, "?UTF-8"),
    "iran/tehran_garden_building_permits.xlsx": Holds("XLSX", 524),
    "ortho_colorado/201404_13SED190110_CL_1.tif": IMAGE,
    "ortho_colorado/201404_13SED190110_CL_1_alpha.tif": IMAGE,
    "ortho_colorado/201404_13SED190110_CL_1_extmask.tif": IMAGE,
    "ortho_colorado/201404_13SED190110_CL_1_mask.tif": IMAGE,
    "ortho_colorado/201404_13SED190110_CL_1_nodata.tif": IMAGE,
    "ortho_naip/m_4709963_se_14_1_20120731.tif": IMAGE,
    f"{PLU}/30014_DOC_URBA_20171013.DBF": Holds("ESRI Shapefile", 2),
    f"{PLU}/30014_DOC_URBA_COM_20171013.DBF": Holds("ESRI Shapefile", 1),
    f"{PLU}/Donnees_geographiques/30014_INFO_PCT_20171013.shp": plan(6, "6 point"),
    f"{PLU}/Donnees_geographiques/30014_INFO_SURF_20171013.shp": plan(18, "18 area"),
    f"{PLU}/Donnees_geographiques/30014_PRESCRIPTION_LIN_20171013.shp": plan(15, "15 line"),
    f"{PLU}/Donnees_geographiques/30014_PRESCRIPTION_PCT_20171013.shp": plan(93, "93 point"),
    f"{PLU}/Donnees_geographiques/30014_PRESCRIPTION_SURF_20171013.shp": plan(77, "77 area"),
    f"{PLU}/Donnees_geographiques/30014_ZONE_URBA_20171013.shp": plan(90, "89 area, 1 areas"),
    f"{PLU}/Pieces_ecrites/4_Annexes/30014_titres_pieces_ecrites_20171013.csv": csv(1),
    f"{PLU}/fr-000030014-plu20171013.xml": "holds no layer",
}


def seen(path: Path, member: str | None, sheet: str | None) -> Holds:
    """What is read of a layer; of several geometries the first one."""
    with container.opened(path, member=member) as arrival:
        dataset = open_dataset(arrival)
        if not dataset.sheets:
            raise ArrivalError("holds no layer")
        told = dataset.told
        encoding = told.said or (f"?{told.trial.encoding}" if told.trial else None)
        layer = dataset.layer(
            sheet or dataset.sheets[0], told.trial.encoding if told.trial else told.said
        )
        name = next(iter(layer.geometries), None)
        rows, kinds = 0, Counter[int]()
        for table in layer.tables(5000):
            rows += table.num_rows
            if name:
                wkb = curves.stroked(table.column(name).combine_chunks(), curves.SAGITTA_M)
                drawn = shapely.from_wkb(wkb.to_numpy(zero_copy_only=False), on_invalid="ignore")
                kinds.update(shapely.get_type_id(drawn).tolist())
        assert layer.seen == layer.features
        crs = meant_crs(layer.crs_of(name)) if name else None
    shapes = ", ".join(f"{count} {KINDS[kind]}" for kind, count in kinds.most_common())
    return Holds(dataset.driver, rows, shapes, crs and (crs.to_epsg() or crs.name), encoding)


def test_every_file_is_accounted_for(real_data: Path) -> None:
    named = {name.split("!")[0].split("#")[0] for name in EXPECTED}
    here = {
        str(path.relative_to(real_data))
        for path in real_data.rglob("*")
        if path.is_file() and path.suffix not in BESIDE and "bad_inputs" not in path.parts
    }
    assert named == here


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_read_is_what_was_measured(real_data: Path, name: str) -> None:
    file, _, member = name.partition("!")
    file, _, sheet = file.partition("#")
    path = real_data / file
    beside = {one: one.stat().st_mtime_ns for one in path.parent.iterdir()}
    expected = EXPECTED[name]
    if isinstance(expected, str):
        with pytest.raises(ArrivalError) as caught:
            seen(path, member or None, sheet or None)
        assert expected in str(caught.value)
        assert "makan-" not in str(caught.value)
    else:
        assert seen(path, member or None, sheet or None) == expected
    assert {one: one.stat().st_mtime_ns for one in path.parent.iterdir()} == beside


def test_the_text_of_real_files_is_read_as_it_was_written(real_data: Path, reading: Any) -> None:
    folder = real_data / "iran" / "derived_shapefiles"
    names = {}
    for kind in ("cp1256_with_cpg", "utf8_no_cpg", "utf8_with_cpg"):
        found = reading.rows(folder / f"counties_{kind}.shp.zip")
        (column,) = (n for n, v in found[0].items() if isinstance(v, str) and "شهرستان" in v)
        names[kind] = [row[column].translate({0x64A: 0x6CC, 0x643: 0x6A9}) for row in found]
    assert names["utf8_no_cpg"] == names["utf8_with_cpg"] == names["cp1256_with_cpg"]
    assert "شهرستان قم" in names["utf8_no_cpg"]
