"""Imports pyogrio without pandas and geopandas, which it takes if it finds them.

They cost more than a second of every start, and no command reads into a frame by pyogrio. Commands
that read vector files import this first; where pandas is imported already, nothing is hidden.
"""

from __future__ import annotations

import sys

_hidden = [name for name in ("geopandas", "pandas") if name not in sys.modules]
for _name in _hidden:
    sys.modules[_name] = None  # type: ignore[assignment]  # an import of it fails
try:
    import pyogrio as pyogrio
finally:
    for _name in _hidden:
        del sys.modules[_name]
