# make run: crawl, validate, index, and show it. make test: everything that CI checks. Both set up what they need.

PYTHON ?= python3
BIN := .venv/bin
LOCKS := .ci/requirements.txt .ci/requirements-dev.txt
READY := .venv/.ready
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" --upgrade

MAKEFLAGS += --no-print-directory
# Commands are started often, and without bytecode each takes seconds.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := run
.PHONY: run test bench chaos replay lint format lock clean

run: $(READY)
	@$(BIN)/python -m workers.tour

# The cheap checks first; pytest's closing line is the last. Tests wait more than they compute: three at a time, then.
# Where one hangs its process ends, and is not begun again: it would hang again.
test: lint
	@$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

bench: $(READY)
	@$(BIN)/python -m tests.bench
	@$(BIN)/python -m tests.bench.team

# Many more kills and orders of events than make test has, and random ones: tens of minutes.
chaos: $(READY)
	@$(BIN)/pytest -m chaos --override-ini faulthandler_timeout=0

replay: $(READY)
	@$(BIN)/python -m tests.replay

lint: $(READY)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

format: $(READY)
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# The newest versions that pyproject.toml allows, with hashes; the tools' file agrees with the one to run with.
lock: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(COMPILE) pyproject.toml --output-file .ci/requirements.txt
	@$(COMPILE) --group pyproject.toml:dev --constraints .ci/requirements.txt \
		--output-file .ci/requirements-dev.txt

# What crawls have recorded stays: remove .mcp-indexer yourself if that is to go too.
clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
	find schemas indexer workers tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew where it is missing, half made, made for another place, or its Python is gone.
ifneq ($(shell .venv/bin/python -c '' 2> /dev/null && cat .venv/.made 2> /dev/null),$(CURDIR))
.PHONY: .venv/.made
endif
.venv/.made:
	@command -v $(PYTHON) > /dev/null || { echo "There is no $(PYTHON) here: install Python 3.11 or newer, or say make PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), and Python 3.11 or newer is needed: say make PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: apt-get install python3-venv)." >&2; exit 1; }
	@echo "Setting up .venv (a minute, the first time only)" >&2
	@$(PYTHON) -m venv --clear .venv
	@echo "$(CURDIR)" > $@

$(READY): .venv/.made pyproject.toml $(LOCKS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes $(LOCKS:%=-r %)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
