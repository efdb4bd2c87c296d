# Everything here makes its own virtual environment first, from nothing but python3: about a minute the first time.
# make PYTHON=python3.12 …   another Python          make run ARGS="--top 25"   flags for the run

PYTHON ?= python3
UV_VERSION = 0.13.9
VENV = .venv
READY = $(VENV)/.ready
UV = UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(VENV)/bin/pip config get global.index-url 2>/dev/null)}}" \
	$(VENV)/bin/uv
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --all-extras --custom-compile-command "make lock" \
	$(if $(UPGRADE),--upgrade) pyproject.toml
# More workers than the two cores of a small machine: some tests mostly wait.
PYTEST = pytest -n 3 --dist worksteal

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL = help
.PHONY: help demo run dashboard test check bench docs lock clean

help: ## show what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## the whole platform on a simulated market, into data-demo/, until Ctrl-C
	@coinlake demo $(ARGS)

run: $(READY) ## fetch from CoinGecko, clean, analyze: the whole main job, into data/
	@coinlake run $(ARGS)

dashboard: $(READY) ## the Strategy Command Center over data/, in the browser, until Ctrl-C (ARGS="--lake data-demo")
	@coinlake dashboard $(ARGS)

test: $(READY) ## the quick tests
	$(PYTEST) -m "not slow"

check: $(READY) ## all that must hold: style, types, layers, every test (in another time zone than yours), coverage
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	TZ=Australia/Sydney $(PYTEST) --cov --cov-report=term --cov-fail-under=90

bench: $(READY) ## how fast the main job is beside its rivals; the figures go to benchmarks/results/
	python benchmarks

docs: $(READY) ## write docs/tables.md anew from the tables' contracts
	python -m coinlake.catalog > docs/tables.new
	mv docs/tables.new docs/tables.md

lock: $(VENV)/bin/uv ## write the locks anew from pyproject.toml (UPGRADE=1: with the newest versions)
	@$(COMPILE) --output-file requirements.lock
	@$(COMPILE) --group dev --constraints requirements.lock --output-file requirements-dev.lock

clean: ## remove the virtual environment and what tools left; data/ stays
	rm -rf $(VENV) dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# uv does not read pip's settings, so it is told of the mirror that pip was told of.
$(READY): requirements-dev.lock pyproject.toml | $(VENV)/bin/uv
	@$(UV) pip sync --python $(VENV)/bin/python --require-hashes requirements-dev.lock
	@$(UV) pip install --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "coinlake needs Python 3.11 or newer, and $(PYTHON) is not: install it, or name yours, as in: make PYTHON=python3.12" >&2; \
		exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
