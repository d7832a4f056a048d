"""CAD: drawn lines and texts of one or several sheets made into numbered areas."""
