# Every target makes .venv when it is missing or older than the requirements; nothing has to be set up before.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A file for each worker, so that what its tests share is made once; in the order of tests/conftest.py, slow files first.
SHARED_OUT := -n auto --dist loadfile --no-loadscope-reorder

# Modules are compiled as they are imported first, a quarter of what is installed: compiling all took most of the installation.
# So bytecode has to be kept, whatever Python was told: processes that tests start would compile t15 each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check lint style types contracts changed docs clean

demo: $(READY)
	$(BIN)/t15 demo

test: $(READY)
	$(BIN)/python -m pytest $(SHARED_OUT)

# What a change needs before it is committed: quick, and no substitute for `make test`.
check: $(READY)
	$(MAKE) --jobs style types contracts changed

lint: $(READY)
	$(MAKE) --jobs style types contracts

style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

contracts:
	$(BIN)/lint-imports

changed:
	$(BIN)/python -m pytest $(SHARED_OUT) -q -m "not slow and not browser and not gpu" $$($(BIN)/python tests/changed.py)

docs: $(READY)
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) demo site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)
