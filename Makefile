PYTHON ?= python3
PORT ?= 6006
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install train test lint tensorboard clean

help:  ## Show these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed  ## Make .venv with everything the project needs (the other commands do it themselves)

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[data,dev]'
	@touch $@

train: .venv/installed  ## Train the main job on the real MNIST
	$(BIN)/python -m src.cli fit --config configs/mlp.yaml

test: .venv/installed  ## Run the tests
	$(BIN)/python -m pytest

lint: .venv/installed  ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

tensorboard: .venv/installed  ## Look at the runs on http://localhost:$(PORT)
	$(BIN)/tensorboard --logdir lightning_logs --port $(PORT) --reload_multifile true

clean:  ## Remove .venv and the tools' caches; runs and data stay
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
