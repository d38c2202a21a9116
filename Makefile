# Everything runs in .venv, which is set up when it is missing or when what it is made of has changed.
# `make demo PYTHON=/path/to/python3.12` chooses another interpreter for it.

SECONDS ?= 40
# Roles that the daemon of the demo has; `make demo ROLES=` plays them all.
ROLES ?= universe,intent_bridge,governor,executor,reconcile,decision_intelligence
HOURS ?= 100
MINUTES ?= 10
SINCE ?= main
ARGS ?=

# Compiled modules are kept, even where the environment says otherwise: compiling all tests takes 10 s a run.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
GATE_PYTHON ?= $(BIN)/python
PROCESSORS := $(shell getconf _NPROCESSORS_ONLN)
PYTEST := $(BIN)/python -m pytest --maxprocesses=8 --maxschedchunk=8 --numprocesses
FAST := not (process or redis or simulation or browser or timing)
CHECKED := $(VENV)/.installed-check
# What `make check` needs of the system: the command, and Debian's package that has it.
TOOLS := redis-server:redis-server shellcheck:shellcheck systemd-analyze:systemd promtool:prometheus

# The first that is Python 3.11 to 3.14.
IS_SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
VERSIONS := 3.14 3.13 3.12 3.11
ifeq ($(origin PYTHON), undefined)
PYTHON = $(shell for python in python3 $(VERSIONS:%=python%); do \
	  "$$python" -c '$(IS_SUPPORTED)' 2>/dev/null && echo "$$python" && exit; \
	done; echo python3)
endif

.PHONY: demo test test-fast test-changed test-gate-versions test-interpreters system-tools check style types imports documents audit bench simulate mutants soak demos-under-load screenshots clean
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	@$(BIN)/position-state-brain demo --seconds $(SECONDS) --roles '$(ROLES)' $(ARGS)

# Everything: first the tests marked `timing`, one at a time, if there are any among ARGS; then twice as many at a time
# as there are processors, since they wait for most of their time.
test: $(INSTALLED)
	@$(BIN)/python -m pytest -m timing --durations=5 $(ARGS) || [ $$? -eq 5 ]
	@$(PYTEST) $$(($(PROCESSORS) * 2)) --maxschedchunk=1 -m "not timing" --durations=15 $(ARGS)

# What needs neither a redis-server nor another program, within a minute on two processors. One more than there are
# processors at a time: some wait for a timeout.
test-fast: $(INSTALLED)
	@$(PYTEST) $$(($(PROCESSORS) + 1)) -m "$(FAST)" $(ARGS)

# The tests that import what differs from the branch SINCE; scripts/changed_tests.py has the rules.
test-changed: $(INSTALLED)
	@touched=$$($(BIN)/python scripts/changed_tests.py $(SINCE)) && \
	  if [ -n "$$touched" ]; then $(PYTEST) $(PROCESSORS) $(ARGS) $$touched; else echo "No test imports what has changed."; fi

# The gate on redis-py 4.6, 5, 6, 7 and 8; GATE_PYTHON: another interpreter, with permit-gate[test] in it.
test-gate-versions: $(INSTALLED)
	@$(GATE_PYTHON) permit-gate/tests/each_redis_version.py

# On each other interpreter of VERSIONS that PATH leads to, in an environment of its own inside .venv.
test-interpreters: $(INSTALLED)
	@own=$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	for version in $(VERSIONS); do \
	  if [ $$version != $$own ] && python$$version -c 'import ensurepip, venv' 2>/dev/null; then \
	    $(MAKE) --no-print-directory VENV=$(VENV)/python$$version PYTHON=python$$version test-fast || exit; \
	    $(VENV)/python$$version/bin/position-state-brain demo --seconds 5 || [ $$? -eq 75 ] || exit; \
	  elif [ $$version != $$own ]; then echo "python$$version: not here, or without venv: left out"; fi; \
	done

system-tools:
	@lacking=; for tool in $(TOOLS); do \
	  command -v $${tool%:*} >/dev/null || lacking="$$lacking $${tool#*:}"; done; \
	  test -z "$$lacking" || { echo "make check lacks tools of the system; Debian's packages:$$lacking"; exit 1; }

# Each looks at something else; `make --jobs 3 check test-gate-versions` lets them share two processors.
check: style types imports documents audit

style: system-tools $(CHECKED)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/python scripts/check_language.py
	@shellcheck .ci/run deploy/install.sh deploy/accounts.sh deploy/position-state-brain deploy/redis/make-users.sh \
	  deploy/container/build.sh scripts/set_up.sh

types: $(CHECKED)
	@$(BIN)/mypy --no-error-summary

imports: $(CHECKED)
	@$(BIN)/lint-imports --no-logo

# What `make test` leaves out.
documents: system-tools $(CHECKED)
	@P33_TESTS_NEED_SYSTEM_TOOLS=1 $(BIN)/python -m pytest --quiet -m system_tools tests/deploy tests/docs tests/scripts

audit: $(CHECKED)
	@$(BIN)/python scripts/audit_dependencies.py

bench: $(INSTALLED)
	@$(BIN)/python -m bench $(ARGS)

# Load and faults for MINUTES, with the daemon's memory measured: of the whole chain, or with ARGS="--of plans" of what
# it does for the plans and results of others.
soak: $(INSTALLED)
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) $(ARGS)

# Demos, one after the other, beside two busy loops a processor.
demos-under-load: $(INSTALLED)
	@$(BIN)/python -m tests.soak.busy_demos $(ARGS)

# The pictures in docs/images, from a running demo; needs chromium and chromedriver.
screenshots: $(INSTALLED)
	@$(BIN)/python -m tests.page.screenshots

# Search for a seed that breaks a guarantee; see docs/guarantees.md.
simulate: $(INSTALLED)
	@$(BIN)/python -m tests.simulation --hours $(HOURS) $(ARGS)

# Break each guarantee on purpose, and see the search find it.
mutants: $(INSTALLED)
	@$(BIN)/python -m tests.simulation.mutants $(ARGS)

clean:
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@rm -rf permit-gate/build permit-gate/dist permit-gate/src/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml permit-gate/pyproject.toml constraints.txt
	@scripts/set_up.sh $(VENV) $(PYTHON) dev,embedded
	@touch $@

$(CHECKED): $(INSTALLED)
	@scripts/set_up.sh $(VENV) $(PYTHON) dev,embedded,check
	@touch $@
