# Two commands do everything on a fresh machine with Python >= 3.11: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
# Without it each of the thousands of processes that tests start compiles what it imports: some seconds each.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo test crash-matrix tier-matrix lint serve bench lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/server ## The whole story on an embedded store: write, read, denial, receipt, erasure, restore
	@$(BIN)/tenure demo

test: $(VENV)/dev ## All tests, on SQLite and PostgreSQL (which comes from PyPI)
	$(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

crash-matrix: $(VENV)/dev ## An erasure killed after each durable step, and what may follow, on both databases: a table
	@PYTHONPATH=tests $(BIN)/python -m fault.matrix

tier-matrix: $(VENV)/dev ## Moving contents to packs, killed at each step for every fault of the object store: tables
	@PYTHONPATH=tests $(BIN)/python -m fault.tiers

lint: $(VENV)/dev ## Style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

serve: $(VENV)/server ## Serve the embedded store in ./tenure-data (make the first keys with `tenure init`)
	@$(BIN)/tenure serve

bench: $(VENV)/dev ## Benchmarks against bare contenders in the same run; prints ratios
	$(BIN)/python -m bench

lock: ## Resolve requirements*.lock anew (needs uv)
	uv pip compile pyproject.toml --extra server --extra postgres --universal --generate-hashes \
		--no-header --no-emit-index-url -q -o requirements.lock
	uv pip compile pyproject.toml --all-extras --group dev --universal --generate-hashes \
		--no-header --no-emit-index-url -q -o requirements-dev.lock

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

# What is installed is written down by its lock file; a changed lock installs again.
$(VENV)/server: $(BIN)/pip requirements.lock pyproject.toml
	@test -f $(VENV)/dev || $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/dev: $(BIN)/pip requirements-dev.lock pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@ $(VENV)/server
