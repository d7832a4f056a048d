"""How good a product is against check points: numbers of the standards, as JSON and as a page."""
