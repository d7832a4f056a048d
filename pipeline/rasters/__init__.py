"""How rasters are taken in: inspect (nothing is written), convert to a COG, register, serve."""
