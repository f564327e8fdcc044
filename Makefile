# Two commands do all on a fresh Debian machine: make demo, and make test.
.DEFAULT_GOAL := help
VENV ?= .venv
BIN := $(VENV)/bin
export VENV

.PHONY: help env warm-up demo test test-deps lint format bench lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1|/' | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

env:  ## make or renew .venv from requirements.lock
	@sh tools/environment.sh

warm-up: env  ## compile the placement kernels (kept on disk; a moment the second time)
	@$(BIN)/entropy warm-up

demo: warm-up  ## a simulated day of 40 nodes and 200 VMs under the real control loop, in under two minutes
	@$(BIN)/entropy simulate --demo

test: warm-up  ## all tests; those on real parts are skipped, with the reason, where `make test-deps` has not been run
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-deps:  ## install what the tests on real parts need (Debian packages; root or sudo)
	@sh tools/test-deps.sh

lint: env  ## formatting, ruff, mypy strict, the floors of the architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src $(wildcard benchmarks/*.py)
	$(BIN)/lint-imports

format: env  ## put the code into the form that `make lint` wants
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: warm-up  ## the benchmarks (ARGS="..." goes to them)
	$(BIN)/python benchmarks/run.py $(ARGS)

lock:  ## renew requirements.lock
	@sh tools/lock.sh

clean:  ## remove .venv and everything that tools have left
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
