"""Pure tasks spread over processes of this machine, or over a Dask cluster that exists."""
