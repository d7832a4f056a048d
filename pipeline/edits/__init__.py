"""Rows written one by one over the API: judged as a load judges them, each edit a version."""
