"""Where the house's data folders are: in a checkout, or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _data_folder(name: str) -> Path:
    in_wheel = _PACKAGE / "_data" / name
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / name


def schemas() -> Path:
    """The folder of contracts, feeds, cities, code lists and SQL."""
    return _data_folder("schemas")


def server_files() -> Path:
    """The folder of the server's hand-written configuration, templates and static files."""
    return _data_folder("geoserver_config")
