# Every target makes the environment that it needs; nothing has to be installed beforehand but Python >= 3.11.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
RUNS   := busproof-runs
AUDIT  := .venv-audit
MUTATE := .venv-mutation
BUSPROOF_KILLS ?= 100
FAULT_RUNS ?= 10

.DEFAULT_GOAL := help
.PHONY: help certify second certify-real live test lint bench bench-real crash faults planted mutants mutation clean-runs nginx audit clean

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: no '$(PYTHON)' here; say PYTHON=/path/to/python3.11-or-later"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: '$(PYTHON)' is older than 3.11; say PYTHON=…"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

certify: $(READY)  ## certify the reference server: one run unwired, one run wired
	$(BIN)/busproof run --reference --profile descoped --out $(RUNS)/descoped
	$(BIN)/busproof run --reference --out $(RUNS)/core

certify-real: $(READY)  ## certify two replicas over a real Postgres and a real NATS, engines killed on the way
	$(BIN)/python -m tests.services.certify --out $(RUNS)/real

second: $(READY)  ## certify the second implementation through its own driver
	$(BIN)/python -m fixtures.second.certify --out $(RUNS)/second

live: $(READY)  ## look at a reference server that somebody publishes on, by GETs alone
	$(BIN)/python -m tests.live --out $(RUNS)/live

test: $(READY)  ## the ordinary tests
	$(BIN)/pytest -n 2 --dist loadfile

lint: $(READY)  ## style, types, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_import_contract.py

bench: $(READY)  ## measure against sse-starlette on uvicorn; a section of docs/performance.md
	$(BIN)/python -m tests.benchmarks --write docs/performance.md

bench-real: $(READY)  ## measure over a real Postgres and NATS, twenty minutes; a section of docs/performance.md
	$(BIN)/python -m tests.benchmarks.real --write docs/performance.md

crash: $(READY)  ## at least 100 kills of the real processes; writes docs/evidence/crash.json and relay-crash.json
	BUSPROOF_KILLS=$(BUSPROOF_KILLS) $(BIN)/pytest -q tests/crash --timeout 1800

faults: $(READY)  ## faults and crashes of the real bus at length, ten times in a row; writes docs/evidence/faults.json
	$(BIN)/python -m tests.faults --runs $(FAULT_RUNS)

planted: $(READY)  ## defects of the real bus that no client could provoke, each against every probe, ten minutes
	BUSPROOF_FAULTS=long $(BIN)/pytest -q tests/real/test_planted.py --timeout 900

mutants: $(READY)  ## every planted defect against the suite; writes docs/kill-matrix.md
	$(BIN)/python -m tests.suite.mutants

$(MUTATE)/.ready: requirements-mutation.txt
	$(PYTHON) -m venv $(MUTATE)
	$(MUTATE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-mutation.txt
	@touch $@

mutation: $(READY) $(MUTATE)/.ready  ## mutants of what verdicts rest on, about an hour; writes docs/mutation.md
	$(BIN)/python -m tests.mutation --tool $(MUTATE)/bin/cosmic-ray

clean-runs: $(READY)  ## 45 runs in a row that must all be clean, half an hour; writes docs/evidence/clean-runs.json
	$(BIN)/python -m tests.suite.clean

nginx: $(READY)  ## the stream through a real nginx (Debian's nginx-light) with its default settings
	$(BIN)/pytest -q tests/nginx/check_nginx.py

$(AUDIT)/.ready: requirements-audit.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.txt
	@touch $@

audit: $(AUDIT)/.ready  ## known vulnerabilities of what is pinned; fails where no source can be reached
	$(AUDIT)/bin/python -m tests.audit requirements.txt

clean:  ## remove the environment and the runs
	rm -rf $(VENV) $(AUDIT) $(MUTATE) $(RUNS)
