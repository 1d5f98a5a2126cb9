# Everything runs in .venv, made on first use from the pinned versions of constraints.txt.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   ?= demo-run

.PHONY: demo test lint types bench setup clean
.DEFAULT_GOAL := test

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,fast,review,postgres,cluster]'
	touch $@

demo: setup  ## the whole story on a generated cohort; prints where the HTML page is
	$(BIN)/dictamen demo -o $(DEMO) --overwrite

test: setup  ## the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks

types: setup
	$(BIN)/mypy

bench: setup  ## every benchmark; tables go to benchmarks/results (hours)
	for file in $$(ls benchmarks/*/*.py); do $(BIN)/python $$file || exit 1; done

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
