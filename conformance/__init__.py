"""OGC's abstract tests and executable test suites against a served sample city."""
