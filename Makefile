# make            says what there is
# Everything installs into .venv here, with uv where it is found, else with venv and pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
PYTEST := $(BIN)/python -m pytest
# schemathesis has an environment of its own: its requirements are not ours to keep.
CONTRACT_VENV := .venv-contract
CONTRACT_STAMP := $(CONTRACT_VENV)/.installed
CONTRACT := $(BIN)/python -m tests.contract $(CONTRACT_VENV)/bin/schemathesis

.PHONY: help demo serve test test-slow pictures contract contract-short check bench format clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(STAMP)  ## service, simulated WeCom and sample engine on loopback, no account; SPEED=10 hurries, PORT=9000 and the next two
	$(BIN)/fta-approval demo $(if $(SPEED),--speed $(SPEED)) $(if $(PORT),--port $(PORT))

serve: $(STAMP)  ## the service alone, by the settings in the environment
	$(BIN)/fta-approval serve

test: $(DEV_STAMP)  ## the test suite that CI runs
	$(PYTEST)

test-slow: $(DEV_STAMP)  ## the long forms: a hundred kills, many more random histories
	$(PYTEST) --slow

pictures: $(DEV_STAMP)  ## what README shows, from the pictures that the tests take
	$(PYTEST) tests/test_looks.py -k 'accessible and (390 or 1280)'
	$(PYTEST) tests/test_audit_in_browser.py
	cp build/screenshots/list-390-zh-light-top.png docs/pictures/todo.png
	cp build/screenshots/detail-blast-390-zh-light.png docs/pictures/detail.png
	cp build/screenshots/detail-approved-390-en-dark.png docs/pictures/detail-dark.png
	cp build/screenshots/detail-approved-1280-zh-light.png docs/pictures/detail-desk.png
	cp build/screenshots/batch-390-zh-light-top.png docs/pictures/batch.png
	cp build/screenshots/history-390-zh-light-top.png docs/pictures/history.png
	cp build/screenshots/configuration-390-zh-light-top.png docs/pictures/configuration.png
	cp build/screenshots/figures-1280-en-dark-top.png docs/pictures/figures.png
	cp build/screenshots/audit-approval-1280-light.png docs/pictures/audit.png

contract: $(DEV_STAMP) $(CONTRACT_STAMP)  ## schemathesis against the engine API, minutes, other cases each time
	$(CONTRACT) --max-examples 400

contract-short: $(DEV_STAMP) $(CONTRACT_STAMP)  ## the short form that CI runs, always the same cases
	$(CONTRACT) --max-examples 30 --generation-deterministic

check: $(DEV_STAMP)  ## lint, format check, types, nothing too new for old browsers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tests.old_browsers web/static adapters/simulator/static

bench: $(DEV_STAMP)  ## the benchmark: ratios in one run, as JSON and a table; HISTORY=1000000 for 待办, /audit/ and audit commands
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.todo $(if $(HISTORY),--history $(HISTORY))
	$(BIN)/python -m benchmarks.audit_pages $(if $(HISTORY),--history $(HISTORY))
	$(BIN)/python -m benchmarks.audit --events $(or $(HISTORY),100000)

format: $(DEV_STAMP)  ## write the code as the format check wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove what make made
	rm -rf $(VENV) $(CONTRACT_VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# What the service needs, and what its developers need beside it.
$(STAMP): WHAT := -e .
$(DEV_STAMP): WHAT := -e '.[dev]'
$(CONTRACT_STAMP): WHAT := schemathesis==4.32.5
$(CONTRACT_STAMP): VENV := $(CONTRACT_VENV)
$(STAMP) $(DEV_STAMP) $(CONTRACT_STAMP): pyproject.toml Makefile
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	  uv pip install --quiet --python $(VENV)/bin/python $(WHAT); \
	else \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; say which with make PYTHON=..." >&2; exit 1; }; \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "venv is missing; install the package python3-venv" >&2; exit 1; }; \
	  $(PYTHON) -m venv $(VENV) && \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(WHAT); \
	fi
	@touch $@
