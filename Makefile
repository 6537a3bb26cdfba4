# Two commands do everything on a fresh machine: `make search` and `make test`.
# ARGS go to the command: make search ARGS="--llm symbolic --max-candidates 20"

PYTHON ?= python3
VENV   ?= .venv
EXTRAS ?= dev
READY  := $(VENV)/.ready
# With the slowest named, so that the next one that is too slow shows itself.
PYTEST := $(VENV)/bin/python -m pytest -n 2 --dist loadgroup --durations=25

.PHONY: search test test-long setup lint style types docs dist clean

search: setup
	$(VENV)/bin/autoprune search $(ARGS)

test: setup
	$(PYTEST) $(ARGS)

# What takes ten seconds or more a test, and what takes minutes as a whole; .ci/run runs these too.
test-long: setup
	$(PYTEST) -m long $(ARGS)

lint: setup
	@$(MAKE) --no-print-directory -j 2 types style docs

style: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: setup
	$(VENV)/bin/mypy

dist: setup
	$(VENV)/bin/python -m build

setup: $(READY)

# Strictly: a broken link, a page outside the navigation or a docstring that cannot be read is an error. No network.
# (--quiet would hide warnings from --strict too.)
docs: setup
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --site-dir site

# torch first and pinned: see constraints.txt.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("autoprune needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --upgrade pip
	$(VENV)/bin/python -m pip install -c constraints.txt torch
	$(VENV)/bin/python -m pip install -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
