"""Makan's server beside others over the same table: ``python -m benchmarks.serve``."""
