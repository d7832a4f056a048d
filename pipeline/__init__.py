"""Makan: a municipality's spatial database, from arriving files to OGC API services."""

__version__ = "0.1.0"
