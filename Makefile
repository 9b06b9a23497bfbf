# `make` alone says what there is. Needs Python 3.10 or newer, make, and a package index that pip
# reaches; everything else is installed into .venv, nothing outside it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-docker lint types bench clean

help:  ## say what there is
	@echo 'make TARGET, one of:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | while IFS='|' read -r name what; do \
		printf '  %-11s %s\n' $$name "$$what"; done

demo: $(STAMP)  ## CIFAR-10 from data to predictions, about two minutes (ARGS='--help' for more)
	@$(BIN)/python examples/cifar10/demo.py $(ARGS)

test: lint types  ## all checks: lint, types, tests
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-docker: $(STAMP)  ## the tests that need a Docker engine, with the images they run in
	@$(BIN)/sagedock images build python --backend docker
	@$(BIN)/sagedock images build mxnet-cpu
	$(BIN)/python -m pytest -m docker -n $(WORKERS) --dist loadfile $(ARGS)

lint: $(STAMP)  ## ruff, rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy, strict
	$(BIN)/mypy

bench: $(STAMP)  ## measure invocations, model servers, S3, starts and checks, each beside a floor
	@for file in benchmarks/*.py; do echo "--- $$file"; $(BIN)/python $$file || exit 1; done

clean:  ## remove what the demo and the checks leave; .venv stays (rm -r .venv removes it)
	rm -rf .sagedock-demo demo-out cifar10-data .mypy_cache .ruff_cache .pytest_cache
	find runtime containers tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed again when pyproject.toml changes. uv does not read pip's configuration, so pip's index
# is handed on to it; where uv cannot be had or fails, pip installs everything, only slower.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "sagedock needs Python 3.10 or newer, and $(PYTHON) is not: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
		echo "This Python has no venv module of its own: fetching virtualenv."; \
		rm -rf $(VENV) .venv-maker; \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .venv-maker virtualenv \
		&& PYTHONPATH=.venv-maker $(PYTHON) -m virtualenv --quiet $(VENV); \
		made=$$?; rm -rf .venv-maker; test $$made = 0; } || { \
		echo "$(VENV) cannot be made: $(PYTHON) needs its venv module (Debian: apt install" \
			"python3-venv), or pip and an index to fetch virtualenv from."; exit 1; }
	@echo "Installing sagedock and its tools into $(VENV) (once)"
	@of_pip() { $(BIN)/python -m pip config get "global.$$1" 2>/dev/null || true; }; \
	index="$${PIP_INDEX_URL:-$$(of_pip index-url)}"; \
	more="$${PIP_EXTRA_INDEX_URL:-$$(of_pip extra-index-url)}"; \
	links="$${PIP_FIND_LINKS:-$$(of_pip find-links)}"; \
	if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; fi; \
	if [ -n "$$links" ]; then export UV_FIND_LINKS="$${UV_FIND_LINKS:-$$(echo $$links | tr ' ' ,)}"; fi; \
	if [ -n "$$more" ]; then export UV_INDEX="$${UV_INDEX:-$$(echo $$more)}"; \
		export UV_INDEX_STRATEGY="$${UV_INDEX_STRATEGY:-unsafe-best-match}"; fi; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv \
	&& $(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev \
	|| { $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' \
	     && $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev; }
	@touch $@
