# `make demo` shows the whole job; `make test` runs linters, types and tests. Each needs only Python 3.11 or newer.

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell command -v $(name) >/dev/null && $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint docs bench clean

demo: $(VENV)/plain
	$(BIN)/broadcaster demo

test: lint
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal

lint: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# what is generated in docs/ from the code; a test compares
docs: $(VENV)/dev
	$(BIN)/python -m docs.generate

bench: $(VENV)/dev
	$(BIN)/python -m bench.people
	$(BIN)/python -m bench.render
	$(BIN)/python -m bench.sign
	$(BIN)/python -m bench.send

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/plain: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@ $(VENV)/plain

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
