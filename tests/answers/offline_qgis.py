"""What QGIS makes of an extract; run by the system's Python, where no network can be reached.

Arguments: a GeoPackage, an MBTiles file and GeoTIFFs. Prints one JSON object.
"""

import json
import socket
import sys

from qgis.core import QgsApplication, QgsRasterLayer, QgsVectorLayer, QgsVectorTileLayer

application = QgsApplication([], False)
application.initQgis()
path, tiles, *rasters = sys.argv[1:]


def reached() -> bool:
    """Whether this process can send anything anywhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        return asked.connect_ex(("192.0.2.1", 53)) == 0


whole = QgsVectorLayer(path, "all", "ogr")
names = [one.split("!!::!!")[1] for one in whole.dataProvider().subLayers()]
found = {}
for name in names:
    layer = QgsVectorLayer(f"{path}|layername={name}", name, "ogr")
    drawn = layer.renderer().type() if layer.renderer() else None
    found[name] = [layer.isValid(), layer.featureCount(), layer.crs().authid(), drawn]
picture = QgsVectorTileLayer(f"type=mbtiles&url={tiles}", "tiles")
grounds = {one.rsplit("/", 1)[1]: QgsRasterLayer(one, "raster") for one in rasters}
told = {
    "layers": found,
    "rasters": {
        n: [one.isValid(), one.crs().authid(), one.bandCount()] for n, one in grounds.items()
    },
    "tiles": [picture.isValid(), picture.sourceMaxZoom()],
    "network": reached(),
}
print(json.dumps(told), flush=True)
