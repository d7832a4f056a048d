# The two entry points are `make demo` and `make test`; each does all set-up itself.
SHELL := /bin/bash
BIN := .venv/bin

.PHONY: demo test check setup gen lock bench conformance clean

setup:
	@bash .ci/setup

# The sample city, loaded and served until Ctrl-C.
demo: setup
	@exec $(BIN)/makan demo

# The whole suite on a real PostGIS that it starts itself. PYTEST_ARGS adds options.
test: check
	REQUIRE_DB=1 $(BIN)/pytest -n 2 --dist loadfile $(PYTEST_ARGS)

# Style, types, arrows between the rooms, and generated files that are fresh.
check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/makan schema generate --check

# Files that derive from the contracts.
gen: setup
	$(BIN)/makan schema generate

# Lock files again, after a change of pyproject.toml.
lock: setup
	.venv/.uv/bin/uv pip compile pyproject.toml --extra dev --python-version 3.12 --universal --generate-hashes \
		--no-emit-index-url --no-annotate --no-header -q -o requirements/dev.lock

# Ratios against peers and limits; benchmarks/README.md says what each compares.
bench: setup
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.fabric
	$(BIN)/python -m benchmarks.joins

# A sample city against OGC's abstract tests and executable suites (docs/conformance.md).
conformance: setup
	$(BIN)/python -m conformance.run $(CONFORMANCE_ARGS)

clean:
	-$(BIN)/makan db stop
	rm -rf .venv .makan node_modules geoserver_config/static/vendor
