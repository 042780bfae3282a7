PYTHON ?= python3
PORT ?= 6006
TESTERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)  # more than cores, as many tests wait
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install train check test lint tensorboard bench bench-scaling bench-serve clean

help:  ## Show these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed  ## Install into .venv what training and using it need (the other commands do it themselves)

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	@echo "Installing PyTorch and the rest into .venv, once: some minutes, in which pip says nothing"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[data,export,heic,serve]'
	@touch $@

train: .venv/installed  ## Train the main job on the real MNIST
	$(BIN)/python -m src.cli fit --config configs/mlp.yaml

check: .venv/dev-installed lint  ## Check format, style and types, and run the tests that train nothing (about a minute)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 -m 'not slow'

test: .venv/dev-installed  ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder

lint: .venv/dev-installed  ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

tensorboard: .venv/installed  ## Look at the runs on http://localhost:6006, the running ones too
	@case "$(PORT)" in *[!0-9]*) echo "PORT=$(PORT) is not a number: make tensorboard PORT=6007"; exit 2;; esac
	@echo "TensorBoard: http://localhost:$(PORT)  (Ctrl-C ends it; if the port is taken: make tensorboard PORT=6007)"
	@$(BIN)/tensorboard --logdir lightning_logs --port $(PORT) --reload_multifile true --reload_interval 5 \
		--samples_per_plugin images=100

bench: .venv/installed .venv-peers/installed  ## Time the main job beside its peers (up to 20 minutes)
	$(BIN)/python -m benchmarks.speed

bench-scaling: .venv/bench-installed  ## Draw its cost against sizes of data, batches and network (7 minutes)
	$(BIN)/python -m benchmarks.scaling

bench-serve: .venv/bench-installed  ## Put load on the server, and send it what it must refuse (some minutes)
	$(BIN)/python -m benchmarks.serve

.venv/dev-installed: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[sweep,dev]'
	@touch $@

.venv-peers/installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.venv/bench-installed: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[bench]'
	@touch $@

clean:  ## Remove .venv, .venv-peers and the tools' caches; runs and data stay
	rm -rf .venv .venv-peers build *.egg-info .pytest_cache .mypy_cache .ruff_cache
