# make demo: set everything up and run the main job.   make test: set everything up and run every check.
# The environment lives in .venv; an up-to-date one costs nothing.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
FRONT_END := $(shell find labextension/src labextension/style labextension/schema labextension/package.json \
               labextension/yarn.lock labextension/tsconfig.json labextension/esbuild.widget.mjs 2>/dev/null)

.PHONY: demo lab test lint bench build clean help

help:
	@echo "make demo | lab | test | lint | bench | build | clean"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "qworkbench needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt hatch_build.py $(FRONT_END) | $(BIN)/python
	$(BIN)/python -m pip install -q -U pip
	$(BIN)/python -m pip install -q -e ".[dev]"
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/python tutorials/demo.py

lab: $(VENV)/.installed
	$(BIN)/jupyter lab tutorials/00_quickstart.ipynb

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd labextension && jlpm lint && jlpm typecheck

test: $(VENV)/.installed
	sh tests/chromium.sh
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd labextension && jlpm install --immutable --silent && jlpm lint && jlpm typecheck && jlpm test
	$(BIN)/python -m pytest

bench: $(VENV)/.installed
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script --short || exit 1; done

build: $(VENV)/.installed
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) dist demo qworkbench/static qworkbench/labextension labextension/node_modules labextension/lib
