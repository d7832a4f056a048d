"""The vector tile provider that pygeoapi's own code knows of tile sets by.

Tiles and their documents are answered by ``tiles`` and ``tilesets``, without a plugin in between.
"""

from __future__ import annotations

from typing import Any

from pygeoapi.provider.base_mvt import BaseMVTProvider

from pipeline.serve import site


class VectorTiles(BaseMVTProvider):  # type: ignore[misc]
    """Tile sets of one layer; ``data`` in the configuration is the layer's id."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        """From pygeoapi's definition; the contract says the rest."""
        super().__init__(provider_def)
        found = site.current()
        layer = found.schemas.layer(self.data)
        self._served = found.served[layer.publish.collection]

    def get_layer(self) -> str:
        """The name of the layer inside the tiles: the collection's id."""
        return self._served.id

    def get_fields(self) -> dict[str, Any]:
        """The fields that tiles carry."""
        return {name: {} for name in self._served.tile_fields}

    def __repr__(self) -> str:
        return f"<VectorTiles> {self.data}"
