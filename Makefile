# Everything starts here: python3 (3.11 or newer), make and git are all a machine needs.
# Stamps under .venv say what is installed, so a second `make setup` does nothing.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
SOURCES := .
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --no-deps \
	--build-constraints requirements/development.txt --editable .
# What pyproject.toml offers besides; each has a lock of its own.
EXTRAS := apprise calendar oidc
SYNC := $(UV) pip sync --quiet --python $(BIN)/python --require-hashes
# Arguments of one's own: make test TESTS="tests/domain -k gap", make bench BENCH=probes
TESTS ?= tests
# One more than there are cores: many mostly wait, for programs on the real clock, browsers, and what documents start.
WORKERS := --numprocesses=$(shell echo $$(($$(nproc) + 1))) --maxprocesses=5 --dist=loadscope --no-loadscope-reorder
BENCH ?=

# Where a machine forbids Python to keep what it compiled, each of a thousand programs that tests start compiles all anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup setup-development run test suite lint types contracts bench bench-rehearsal bench-web faults oracle format \
	laws pictures lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{printf "  %-18s %s\n", $$1, $$2}'

# A development installation holds everything that a plain one does and is never reduced to it.
setup: $(if $(wildcard .venv/.development.locked),.venv/.development,.venv/.runtime) ## install what running needs

setup-development: .venv/.development ## install what testing needs, too

run: setup ## start the demonstration
	@$(BIN)/service-monitoring demo

# With --jobs=2 the types are looked at beside the tests; pytest has the last word either way, for it takes longest.
test: types suite ## lint, types, contracts and all tests

suite: lint contracts ## all of these but the types
	$(BIN)/pytest $(WORKERS) $(TESTS)

lint: setup-development ## ruff: rules and format
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: setup-development ## mypy --strict
	$(BIN)/mypy

contracts: setup-development ## who may import whom
	$(BIN)/lint-imports

bench: setup-development ## measure; nothing else should run meanwhile
	$(BIN)/python -m bench $(BENCH)

bench-rehearsal: setup-development ## a rehearsal beside vmalert, promtool and pyarrow: about five minutes
	$(BIN)/python -m bench rehearsal

bench-web: setup-development ## pages and lists with 10,000 services by wrk, and 500 listeners: a quarter of an hour
	$(BIN)/python -m bench web

laws: setup-development ## every law with many drawn examples
	HYPOTHESIS_PROFILE=long $(BIN)/pytest $(WORKERS) --timeout=900 tests/domain tests/rehearsals tests/storage tests/views

pictures: setup-development ## how every page looks, into build/screenshots, and those that the documentation shows
	PICTURES=1 $(BIN)/pytest tests/browser/test_pages.py

faults: setup-development ## only the fault drills
	$(BIN)/pytest -s -m drill tests/faults tests/journeys

oracle: setup-development ## every zone minute by minute, the real Alertmanager, days without number
	$(BIN)/pytest -s -m oracle tests/domain tests/rehearsals tests/web

format: setup-development ## rewrite the sources in the house format
	$(BIN)/ruff check --fix-only $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

lock: .venv/.uv ## choose versions anew, from pyproject.toml
	echo uv | $(COMPILE) --upgrade --output-file requirements/uv.txt -
	$(COMPILE) --upgrade --output-file requirements/runtime.txt pyproject.toml
	$(foreach extra,$(EXTRAS),$(COMPILE) --upgrade --output-file requirements/$(extra).txt --extra $(extra) \
		--constraints requirements/runtime.txt pyproject.toml &&) true
	$(COMPILE) --upgrade --output-file requirements/development.txt --group development \
		$(foreach extra,$(EXTRAS),--extra $(extra) --constraints requirements/$(extra).txt) \
		--constraints requirements/runtime.txt pyproject.toml

clean: ## remove what was installed and cached
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian keeps venv in a package of its own; the one command that brings it is run for root and told to others.
.venv/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "service-monitoring needs Python 3.11 or newer")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
		echo "$(PYTHON) cannot make environments yet. This brings it: apt-get install -y $$package"; \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y $$package; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	@touch $@

# What a lock brings, and the project on top of it: an edited pyproject.toml renews only the latter.
.venv/.runtime.locked: .venv/.uv requirements/runtime.txt
	@$(SYNC) requirements/runtime.txt
	@touch $@

.venv/.development.locked: .venv/.uv requirements/development.txt
	@$(SYNC) requirements/development.txt
	@touch $@

.venv/.runtime: .venv/.runtime.locked pyproject.toml
	@$(INSTALL)
	@touch $@

.venv/.development: .venv/.development.locked pyproject.toml
	@$(INSTALL)
	@touch $@ .venv/.runtime.locked .venv/.runtime
