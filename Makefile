# Partition Desk: everything a person runs. `make` alone lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run demo-reset check test test-all format hashes bench soak pictures clean

python := .venv/bin/python
# The environment is built anew only when what it is built from has changed.
ready := .venv/.ready

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(ready) ## Build .venv with the exact versions of constraints.txt

$(ready): pyproject.toml constraints.txt
	@set -e; \
	for candidate in python3 python3.13 python3.12 python3.11; do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "Partition Desk needs Python 3.11 or newer; python3 here is: $$(python3 --version 2>&1 | head -n 1)." >&2; \
	  echo "Install a newer one, or put it first in PATH, and run make again." >&2; \
	  exit 1; \
	fi; \
	$(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Building .venv with $$($$found --version) ..."; $$found -m venv --clear .venv; }; \
	echo "Installing the versions of constraints.txt ..."; \
	$(python) -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	touch $@

run: $(ready) ## Start the dashboard on 127.0.0.1:8501; Ctrl-C stops it
	@exec $(python) -m dashboard

demo-reset: $(ready) ## Fill the embedded demo database afresh
	@exec $(python) -m core.demo --reset

check: $(ready) ## Lint, format, types, what bandit finds, and unit tests
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy core dashboard
	$(python) -m bandit --quiet --configfile pyproject.toml --recursive core dashboard
	$(python) -m pytest -n 2 tests/unit

test: check ## check, then real PostgreSQL, every page, a real browser; of many like cells some
	$(python) -m pytest -n 3 --dist worksteal --durations 12 tests/db tests/app
	$(python) -m pytest -n 2 --dist worksteal tests/browser

test-all: check ## The same with every cell of every test on each server version: most of an hour, before a release
	$(python) -m pytest --every -n 3 --dist worksteal --durations 12 tests/db tests/app
	$(python) -m pytest --every -n 2 --dist worksteal tests/browser

format: $(ready) ## Rewrite the code in the one format
	$(python) -m ruff check --fix-only .
	$(python) -m ruff format .

hashes: $(ready) ## Write constraints-hashed.txt anew, after constraints.txt has changed
	@exec $(python) -m tests.hashes

bench: $(ready) ## Measure on real servers what the README claims
	@exec $(python) -m tests.bench

soak: $(ready) ## Kill the server 200 times within acts, judge 500 backups, keep 40 tables for 3 years; three hours at most
	$(python) -m tests.soak
	$(python) -m tests.soak --backups 500
	$(python) -m tests.soak --years 3

pictures: $(ready) ## Shoot every page in every state into build/pictures, and README's into their place
	@exec $(python) -m tests.pictures

clean: ## Remove .venv and everything built; the demo database stays
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find core dashboard tests -name __pycache__ -type d -prune -exec rm -rf {} +
