# make demo    set up, then run the whole job on simulated pairs; prints its address
# make test    set up, then check style, layers and every test
# make lint    style, layers and types
# make body    build the licence-free body anew into assets/body
#
# Set-up happens once, in $(VENV), with the versions of constraints.txt. Another Python: make PYTHON=python3.12 test

VENV ?= .venv
BIN := $(VENV)/bin
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint body chromium

demo: $(VENV)/.installed
	$(BIN)/apu demo

test: $(VENV)/.installed-dev chromium
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

body: $(VENV)/.installed-dev
	$(BIN)/apu body build assets/body

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing into $(VENV); this happens once and takes some minutes."
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing into $(VENV), with what the tests need; this happens once and takes some minutes."
	@$(INSTALL) --editable '.[dev,body]'
	@touch $(VENV)/.installed $@

# Debian keeps the part of venv that brings pip in a package of its own (python3-venv); the system's pip can do it too.
$(BIN)/pip:
	@if [ -z "$(PYTHON)" ]; then echo "No Python 3.11, 3.12 or 3.13 was found; name one: make PYTHON=/path/to/python3"; exit 1; fi
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); else \
	$(PYTHON) -m venv --without-pip $(VENV) && \
	$(PYTHON) -m pip --quiet --python $(BIN)/python install pip; fi

chromium:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "Installing chromium for the browser tests." && apt-get -qq update && \
	DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium >/dev/null; \
	else echo "Chromium is missing, so the tests in a browser are skipped; install it with: sudo apt-get install chromium"; fi
