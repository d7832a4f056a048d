"""Measurements, never tests: each prints a ratio against a peer or limit from the same run."""
