"""The contract language: what schemas/ says, checked and typed. Start at ``registry.Schemas``."""
