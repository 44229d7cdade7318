# What a contributor runs; CONTRIBUTING.md says when. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help setup check test test-fast slow bench coverage docs

# Folders whose tests start no training: about 45 s of processor time in all.
FAST := prediction/tests tests/experiments tests/files tests/documents tests/test_architecture.py \
        tests/test_console.py tests/test_errors.py tests/test_log.py tests/test_signals.py tests/test_streams.py tests/test_wording.py
COVERED ?= tests prediction/tests

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## Everything that the checks and tests need
	uv sync --group browser --group docs --extra ray --extra slurm

check: ## Linters, types, dependencies
	uv run ruff check .
	uv run ruff format --check .
	uv run deptry .
	uv run deptry prediction --config prediction/pyproject.toml
	uv run mypy

test: ## The default tests
	uv run pytest

test-fast: ## Less than a minute, while you work
	uv run pytest $(FAST)

slow: ## The whole of what the default tests sample
	uv run --group browser --extra ray --extra slurm pytest -m slow

bench: ## Ratios that must not get worse, against benchmarks/expected.json
	uv run python benchmarks/run_all.py --quick

coverage: ## Lines that the tests run; COVERED=tests/files for a part
	uv run pytest --cov --cov-report=term:skip-covered $(COVERED)

docs: ## The site, in site/
	uv run --group docs python docs/build_site.py
