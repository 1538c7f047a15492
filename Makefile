# Everything runs from a bare machine with Python 3.11 or newer: `make demo`. `make help` lists the rest.
PYTHON ?= python3
PORT ?= 3000
# Two workers hold the machine that CI has; more threads inside each of them make both slower.
WORKERS ?= 2
export OMP_NUM_THREADS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo demo-live test test-slow lint ui stack bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## create .venv and install the locked dependencies (the other targets do it when needed)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; say which with: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "could not create $(VENV); on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@# --no-compile: byte code is written where a module is first imported; compiling all of it would double the wait.
	@echo "installing the locked dependencies into $(VENV): one to three minutes, 2.5 GB"
	@$(BIN)/python -m pip install -qq --no-compile --requirement requirements.lock
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## the main job, end to end, on a real table
	$(BIN)/synth-pipeline demo

demo-live: $(STAMP) ## five snapshots arrive by themselves under Dagster's daemon, on port PORT; six to ten minutes
	$(BIN)/synth-pipeline demo --live --port $(PORT)

ui: $(STAMP) ## Dagster's web server on the demo's home, port 3000 unless PORT=... is given
	$(BIN)/synth-pipeline ui --port $(PORT)

stack: $(STAMP) ## PostgreSQL, S3, MLflow and Dagster as in production, until Ctrl-C; STACK=--once walks once and stops
	$(BIN)/python -m infra.stack $(STACK)

# --no-loadscope-reorder: whole walks come first (journeys before unit), so that both workers end together.
# --capture=no: the workers' output is not shown anyway, and a library now and then closes the stream that pytest captures with.
test: $(STAMP) ## every test that is not slow
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder --capture=no

test-slow: $(STAMP) ## the slow tests, and the properties on new random examples
	$(BIN)/python -m pytest -m slow -n $(WORKERS) --dist loadfile --capture=no
	$(BIN)/python -m pytest synth_pipeline_tests/properties -n $(WORKERS) --dist loadfile --capture=no --hypothesis-profile=explore

lint: $(STAMP) ## ruff, pyright, import-linter, typos
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/typos

bench: $(STAMP) ## engines, ε and data sets, measured and printed; resumable; BENCH="--quick --engines maxent" for less
	$(BIN)/python -m benchmarks.run $(BENCH)

clean: ## remove .venv, caches and build folders; the demo's home stays
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -maxdepth 1 -name '*.egg-info' -type d -exec rm -rf {} +
