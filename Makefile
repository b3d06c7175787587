# The commands of this project. `make` alone lists them.

PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11
PORT   ?= 3000
ARGS   ?=
JOBS   ?= 2

VENV := .venv
BIN  := $(VENV)/bin

# The environment holds what the locks name and nothing else, whatever the user's own settings are.
export PYTHONNOUSERSITE := 1
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV UV_SYSTEM_PYTHON

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-long check lint format bench bench-quick

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/demo ## Run everything here, with sample data (PORT=3000)
	@exec $(BIN)/healthcare demo --port $(PORT)

# Tests wait for servers, deadlines and each other's locks half of the time, so files run side by side. Each job has
# servers of its own, and keeps the tests of a file together, with what they share.
PYTEST = $(BIN)/pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder

test: $(VENV)/dev ## Run every test (ARGS="-k booking" for some, JOBS=0 in one process)
	@$(PYTEST) $(ARGS)

test-unit: $(VENV)/dev ## Run the tests that need no server
	@$(PYTEST) tests/unit $(ARGS)

test-long: $(VENV)/dev ## Run every test, those that search with more examples
	@HEALTHCARE_LONG=1 $(PYTEST) $(ARGS)

bench: $(VENV)/dev ## Measure beside the limits of this machine (Linux; ARGS="--only booking" for some)
	@$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(VENV)/dev ## Measure all but growth in two minutes
	@$(BIN)/python -m benchmarks --quick $(ARGS)

check: lint test ## Run what has to pass before a change is merged

lint: $(VENV)/dev ## Check format, style, types and import contracts
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/dev ## Format the code, and correct what can be corrected safely
	$(BIN)/ruff check --fix --quiet
	$(BIN)/ruff format --quiet

# ---------------------------------------------------------------------------------------------------------------------
# The environment. Each step leaves a file in it, so that a step is done once, and again when its lock has changed.

# Programs in an environment know its absolute path: one that was copied or moved is made anew.
ifneq ($(shell test -x $(BIN)/python && cat $(VENV)/place 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/place
endif

$(VENV)/place:
	@test ! -e $@ || rm -rf $(VENV)
	@for python in $(PYTHON); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; \
	    python=; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "This needs Python 3.11 or newer, and none was found. Name one with: make PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "Your Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; \
	    exit 1; \
	fi; \
	echo "Making a virtual environment in $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV)
	@printf '%s\n' '$(CURDIR)' > $@

# uv installs in seconds what takes pip a minute. Where it cannot be had, pip does it.
$(VENV)/uv: $(VENV)/place requirements/bootstrap.lock
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.lock || echo "Going on without uv."
	@touch $@

# The tests need more than the demo, and never less, so the two share an environment and nothing is ever removed.
$(VENV)/demo $(VENV)/dev: $(VENV)/%: requirements/%.lock $(VENV)/uv pyproject.toml
	@echo "Installing what $< names"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $< \
	    || { echo "uv could not; pip takes a minute"; $(BIN)/python -m pip install --quiet --require-hashes -r $<; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . \
	    || $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@
