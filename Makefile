.PHONY: sync format lint types test quick bench constraints

sync:
	uv sync --all-packages

format:
	uv run ruff check --fix .
	uv run ruff format .

lint:
	uv run ruff check .
	uv run ruff format --check .
	uv run lint-imports

types:
	uv run pyright

quick:
	uv run pytest -m "not slow"

test:
	uv run pytest

bench:
	uv run pytest packages/$(PACKAGE)/benchmarks -o addopts=--import-mode=importlib -o python_files='bench_*.py'

constraints:
	uv pip freeze --exclude-editable | grep '==' > constraints.txt
