# run · test · test-long · ui · bench. Everything lives in .venv and in PIPELINE_HOME (data/).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A folder of extracts has a home of its own, so that no lake holds two markets.
PIPELINE_HOME ?= $(if $(EXTRACTS),data-$(notdir $(patsubst %/,%,$(EXTRACTS))),data)
export PIPELINE_HOME
# Narrow linear algebra: more threads than one lose more to hand-over than they win.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1

RUN_FLAGS := $(if $(EXTRACTS),--extracts "$(EXTRACTS)") $(if $(FROM),--from $(FROM)) $(if $(TO),--to $(TO)) \
	$(if $(REBUILD_FROM),--rebuild-from $(REBUILD_FROM)) $(if $(SIZE),--size $(SIZE)) \
	$(if $(PROCESSES),--processes $(PROCESSES))

.PHONY: run test lint suite test-long ui bench

run: $(VENV)/.installed
	@$(BIN)/python -m pipeline run $(RUN_FLAGS)

# Types take a minute of one processor; the tests begin meanwhile.
test: $(VENV)/.installed
	@$(MAKE) --no-print-directory -j2 lint suite

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

suite: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-long: $(VENV)/.installed
	$(BIN)/python -m pytest -m long

ui: $(VENV)/.installed
	@$(BIN)/python -m pipeline ui

bench: $(VENV)/.installed
	@$(BIN)/python -m benchmarks $(BENCH)

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
