"""Measures of imagery and terrain."""
