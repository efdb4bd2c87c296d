# Everything here makes its own virtual environment first, from nothing but python3: about a minute the first time.
# make PYTHON=python3.12 …   another Python          make run ARGS="--top 25"   flags for the run

PYTHON ?= python3
UV_VERSION = 0.13.9
VENV = .venv
CHECKOV = .checkov
READY = $(VENV)/.ready
UV = UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(VENV)/bin/pip config get global.index-url 2>/dev/null)}}" \
	$(VENV)/bin/uv
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock" \
	$(if $(UPGRADE),--upgrade) pyproject.toml
# One more worker than there are cores, for some tests mostly wait; more would only be in each other's way.
WORKERS = $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() or 1, 8) + 1)')
PYTEST = pytest -n $(WORKERS) --dist worksteal

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL = help
.PHONY: help demo run dashboard test check infra-check bench bench-large bundle browser e2e spark docs lock clean

help: ## show what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## the whole platform on a simulated market, into data-demo/, until Ctrl-C
	@coinlake demo $(ARGS)

run: $(READY) ## fetch from CoinGecko, clean, analyze: the whole main job, into data/
	@coinlake run $(ARGS)

dashboard: $(READY) ## the Strategy Command Center over data/, in the browser, until Ctrl-C (ARGS="--lake data-demo")
	@coinlake dashboard $(ARGS)

test: $(READY) ## the quick tests
	$(PYTEST) -m "not slow"

check: $(READY) $(CHECKOV)/.ready ## all that must hold: style, types, layers, every test (in another time zone than yours), coverage
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	TZ=Australia/Sydney $(PYTEST) --cov --cov-report=term --cov-fail-under=90

infra-check: $(READY) $(CHECKOV)/.ready ## what must hold of infra/: fmt, validate, test, plan, apply, destroy, checkov
	$(PYTEST) tests/test_infra.py

bench: $(READY) ## how fast and how large it is beside its rivals: into benchmarks/results/, then docs/performance.md
	python benchmarks $(ARGS)
	python benchmarks/performance.py

bench-large: $(READY) ## the same of 500 and 5,000 coins over ten years, and of 365 days one after the other: an hour
	python benchmarks --large $(ARGS)
	python benchmarks/performance.py

bundle: $(READY) ## the functions' source for Google Cloud: dist/coinlake-functions.zip
	@python src/cloud_functions/bundle.py

browser: $(READY) ## every page of the dashboard in a headless Chromium
	$(PYTEST) tests/test_dashboard_browser.py

e2e: $(READY) ## the domino end to end, its world built from the plan of infra/, on emulators
	$(PYTEST) tests/test_domino.py

spark: $(VENV)/.spark ## the engine spark (450 MB, and Java 17), on this machine and on a cluster that loses a worker
	$(PYTEST) tests/test_spark.py

docs: $(READY) ## write docs/tables.md anew from the tables' contracts
	python -m coinlake.catalog > docs/tables.new
	mv docs/tables.new docs/tables.md

lock: $(VENV)/bin/uv ## write the locks anew from pyproject.toml (UPGRADE=1: with the newest versions)
	@$(COMPILE) --extra all --output-file requirements.lock
	@$(COMPILE) --extra all --group dev --constraints requirements.lock --output-file requirements-dev.lock
	@$(COMPILE) --extra spark --constraints requirements.lock --output-file requirements-spark.lock
	@echo checkov | $(UV) pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock" \
		--python-version 3.11 --output-file requirements-checkov.lock $(if $(UPGRADE),--upgrade) -

clean: ## remove the virtual environment and what tools left; data/ stays
	rm -rf $(VENV) $(CHECKOV) dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# uv does not read pip's settings, so it is told of the mirror that pip was told of.
$(READY): requirements-dev.lock pyproject.toml | $(VENV)/bin/uv
	@$(UV) pip sync --python $(VENV)/bin/python --require-hashes requirements-dev.lock
	@$(UV) pip install --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

# Besides the others, for those who ask for it: it is as large as all of them together.
$(VENV)/.spark: requirements-spark.lock $(READY)
	@$(UV) pip install --quiet --python $(VENV)/bin/python --require-hashes -r requirements-spark.lock
	@touch $@

# In an environment of its own: it wants older versions of what others want newer.
$(CHECKOV)/.ready: requirements-checkov.lock | $(VENV)/bin/uv
	@$(UV) venv --quiet --clear --python $(VENV)/bin/python $(CHECKOV)
	@$(UV) pip sync --quiet --python $(CHECKOV)/bin/python --require-hashes requirements-checkov.lock
	@touch $@

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "coinlake needs Python 3.11 or newer, and $(PYTHON) is not: install it, or name yours, as in: make PYTHON=python3.12" >&2; \
		exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
