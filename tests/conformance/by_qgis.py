"""What QGIS makes of a collection; run by the system's Python, which has QGIS's own modules.

Arguments: the service's address, the collection, the property that names a feature, the length of
pages, a filter, and a folder with the styles of all
collections (QML and SLD, and geometries.json). Prints one JSON object.
"""

import json
import sys
from pathlib import Path

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsFeatureRequest,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsRenderContext,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize

SIZE, SOME = 100, 5
#: Half of a picture in degrees, some metres.
SIDE = 2e-5


def opened(base: str, name: str, page: str) -> QgsVectorLayer:
    """The collection as a layer, read by pages of this length."""
    source = f"pageSize='{page}' typename='{name}' url='{base}'"
    layer = QgsVectorLayer(source, name, "OAPIF")
    if not layer.isValid():
        raise SystemExit(f"QGIS cannot read {name}: {layer.error().summary()}")
    return layer


def table(layer: QgsVectorLayer, key: str, request: QgsFeatureRequest | None = None) -> list[dict]:
    """The features with their attributes and the middle of their shape."""
    found = []
    for feature in layer.getFeatures(request) if request else layer.getFeatures():
        row = {field.name(): feature[field.name()] for field in layer.fields()}
        row = {
            name: value if isinstance(value, (int, float, str)) else None
            for name, value in row.items()
        }
        middle = feature.geometry().pointOnSurface().asPoint()
        found.append({**row, "@x": middle.x(), "@y": middle.y()})
    return sorted(found, key=lambda row: row[key])


def drawn(layer: QgsVectorLayer, key: str) -> dict[str, str]:
    """The colour in the middle of some features, each alone in a picture, by its id."""
    layer.setLabelsEnabled(False)
    wanted = [row for row in table(layer, key) if row["land_use"]][:SOME]
    return {row[key]: _middle(layer, row) for row in wanted}


def _middle(layer: QgsVectorLayer, row: dict) -> str:
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    x, y = row["@x"], row["@y"]
    settings.setExtent(type(layer.extent())(x - SIDE, y - SIDE, x + SIDE, y + SIDE))
    settings.setOutputSize(QSize(SIZE, SIZE))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    return job.renderedImage().pixelColor(SIZE // 2, SIZE // 2).name()


def styled(folder: Path) -> dict[str, dict]:
    """What becomes of each style on a layer of its geometry: whether QGIS takes it, and the kinds
    of symbols that it then has."""
    found = {}
    for name, told in json.loads((folder / "geometries.json").read_text("utf-8")).items():
        fields = "".join(f"&field={field}:string" for field in told["fields"])
        for ending in ("qml", "sld"):
            layer = QgsVectorLayer(f"{told['type']}?crs=EPSG:4326{fields}", name, "memory")
            path = str(folder / f"{name}.{ending}")
            load = layer.loadNamedStyle if ending == "qml" else layer.loadSldStyle
            said, good = load(path)
            symbols = layer.renderer().symbols(QgsRenderContext())
            found[f"{name}.{ending}"] = {"good": good, "said": said, "symbols": len(symbols)}
    return found


def main() -> None:
    """Everything that is asked about the collection."""
    base, name, key, page, condition, styles = sys.argv[1:]
    folder = Path(styles)
    application = QgsApplication([], False)
    application.initQgis()
    layer = opened(base, name, page)
    rows = table(layer, key)
    first = rows[0]
    box = QgsFeatureRequest().setFilterRect(
        type(layer.extent())(
            first["@x"] - 1e-6, first["@y"] - 1e-6, first["@x"] + 1e-6, first["@y"] + 1e-6
        )
    )
    found = {
        "version": Qgis.QGIS_VERSION,
        "crs": layer.crs().authid(),
        "types": {field.name(): field.typeName() for field in layer.fields()},
        "rows": rows,
        "in_box": [row[key] for row in table(layer, key, box)],
    }
    by_query = opened(base, name, page)
    found["subset"] = by_query.setSubsetString(condition)
    found["filtered"] = [row[key] for row in table(by_query, key)]
    for kind, load in (("qml", layer.loadNamedStyle), ("sld", layer.loadSldStyle)):
        said, good = load(str(folder / f"{name}.{kind}"))
        found[kind] = {"good": good, "said": said, "drawn": drawn(layer, key)}
    found["styles"] = styled(folder)
    print(json.dumps(found, ensure_ascii=False))
    # QGIS's threads do not always end in peace without a window.
    sys.stdout.flush()
    application.exitQgis()


main()
