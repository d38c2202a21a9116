# Everything runs in .venv, which is set up when it is missing or when what it is made of has changed.
# `make demo PYTHON=/path/to/python3.12` chooses another interpreter for it.

SECONDS ?= 20
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Python 3.11 and 3.12 have everything, an embedded redis-server included; a newer one does with redis-server on PATH.
ifeq ($(origin PYTHON), undefined)
PYTHON = $(shell for python in python3 python3.12 python3.11; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null \
	    && echo "$$python" && exit; \
	done; echo python3)
endif

.PHONY: demo test check bench clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	@$(BIN)/position-state-brain demo --seconds $(SECONDS) $(ARGS)

test: $(INSTALLED)
	@$(BIN)/python -m pytest $(ARGS)

check: $(INSTALLED)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo

bench: $(INSTALLED)
	@$(BIN)/python -m bench $(ARGS)

clean:
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The build tools come first and from the same constraints, so that nothing unpinned is used to build either.
$(INSTALLED): pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo "Setting up $(VENV) with $(PYTHON)"; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")' \
	    && $(PYTHON) -m venv --clear $(VENV); }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt setuptools
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt \
	  --no-build-isolation -e '.[dev,embedded]'
	@touch $@
