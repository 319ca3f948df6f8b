# Every target sets the environment up first; nothing needs root.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test sweep bench check lock clean

help: ## Show the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## Build .venv from the locks (skipped when nothing changed)
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "setup: no '$(PYTHON)' on PATH; install Python 3.11 or newer (Debian: sudo apt install python3 python3-venv), or: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) scripts/setup.py

run: setup ## Run the desk on simulated venues; pass arguments with ARGS="--for 60s"
	@$(BIN)/perpdesk run $(ARGS)

test: setup ## Run every test
	@$(BIN)/python -m pytest $(ARGS)

sweep: setup ## Long fault simulation, not part of the tests
	@$(BIN)/perpdesk simulate --seeds 2000 --faults all $(ARGS)

bench: setup ## Print the measured ratios and write benchmarks/results.json
	@$(BIN)/python -m benchmarks $(ARGS)

check: setup ## Format, lint, strict types, import rules, locks
	@$(BIN)/ruff format --check src tests benchmarks scripts
	@$(BIN)/ruff check src tests benchmarks scripts
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@! grep -n '://' requirements/*.lock || { echo "check: a lock holds an address; compile it again with 'make lock'"; exit 1; }

lock: setup ## Compile the locks again from pyproject.toml
	@UV_SYSTEM_CERTS=1 $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header requirements/bootstrap.in -o requirements/bootstrap.lock
	@UV_SYSTEM_CERTS=1 $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --all-extras --override requirements/overrides.txt pyproject.toml -o requirements/dev.lock

clean: ## Remove the environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis var
