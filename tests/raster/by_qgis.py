"""What QGIS makes of a raster that is served; run by the system's Python, which has QGIS's modules.

Arguments: the service's address, the collection, a place (x, y in the CRS of the file). Prints one
JSON object: of the COG over HTTP its size, CRS, bands and values at the place; of its picture and
of that of the tiles (by their address, and by WMTS) the colour there.
"""

import json
import sys

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QSize

SIZE = 64
HALF_M = 32.0


def opened(source: str, provider: str) -> QgsRasterLayer:
    """The source as a layer."""
    layer = QgsRasterLayer(source, "layer", provider)
    if not layer.isValid():
        raise SystemExit(f"QGIS cannot read {source}: {layer.error().summary()}")
    return layer


def colour(layer: QgsRasterLayer, crs: QgsCoordinateReferenceSystem, place: QgsPointXY) -> list:
    """Red, green, blue in the middle of a picture of 64 metres round the place."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(crs)
    x, y = place.x(), place.y()
    settings.setExtent(QgsRectangle(x - HALF_M, y - HALF_M, x + HALF_M, y + HALF_M))
    settings.setOutputSize(QSize(SIZE, SIZE))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    found = job.renderedImage().pixelColor(SIZE // 2, SIZE // 2)
    return [found.red(), found.green(), found.blue()]


def main() -> None:
    """Asks QGIS."""
    base, name = sys.argv[1:3]
    place = QgsPointXY(float(sys.argv[3]), float(sys.argv[4]))
    application = QgsApplication([], False)
    application.initQgis()
    cog = opened(f"/vsicurl/{base}/files/{name}.tif", "gdal")
    values = cog.dataProvider().sample
    tiles = f"{base}/collections/{name}/tiles/WebMercatorQuad/{{z}}/{{y}}/{{x}}?f=png"
    quoted = tiles.replace("?", "%3F").replace("=", "%3D")
    xyz = opened(f"type=xyz&url={quoted}&zmin=8&zmax=21", "wms")
    wmts = opened(
        f"crs=EPSG:3857&dpiMode=7&format=image/png&layers={name}&styles=default"
        f"&tileMatrixSet=WebMercatorQuad&url={base}/wmts%3FSERVICE%3DWMTS%26REQUEST%3DGetCapabilities",
        "wms",
    )
    mercator = QgsCoordinateReferenceSystem("EPSG:3857")
    there = QgsCoordinateTransform(cog.crs(), mercator, QgsProject.instance()).transform(place)
    told = {
        "crs": cog.crs().authid(),
        "size": [cog.width(), cog.height()],
        "bands": cog.bandCount(),
        "values": [values(place, band)[0] for band in range(1, cog.bandCount() + 1)],
        "cog": colour(cog, cog.crs(), place),
        "xyz": colour(xyz, mercator, there),
        "wmts": colour(wmts, mercator, there),
    }
    print(json.dumps(told))
    # QGIS's threads do not always end in peace without a window; the answer is out by then.
    sys.stdout.flush()
    del cog, xyz, wmts
    application.exitQgis()


main()
