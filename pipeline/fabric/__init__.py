"""The fabric: how loaded rows lie among each other; checked by the contracts' fabric rules."""
