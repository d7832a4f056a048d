"""The server: pygeoapi over PostGIS, with handlers of ours where speed or correctness need it."""
