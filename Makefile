# One command per chore. `make demo` and `make test` need python3 (3.11 or later), make and the internet, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test sglang-cpu test-sglang check format bench model fuzz schema wheel clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.package  ## a real model forks its own reasoning, here, and the run is accounted
	@$(BIN)/apr run examples/countdown.yaml --input numbers="26 45 27 21" --input target=18

test: $(VENV)/.dev  ## all tests that need nothing beside this environment
	$(BIN)/pytest -n 2 tests
	@echo "deselected: the tests against real SGLang servers, marked sglang; run them with make test-sglang"

sglang-cpu: $(VENV)-sglang/.ready  ## a real SGLang server that needs no GPU, in an environment of its own

test-sglang: $(VENV)/.dev $(VENV)-sglang/.ready  ## the tests against real SGLang servers, which it starts and stops
	$(BIN)/python -m tests.sglang.serve $(BIN)/pytest -m sglang tests

check: $(VENV)/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(VENV)/.dev  ## mend what can be mended by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev  ## every figure of the README, beside its bound
	$(BIN)/python -m benchmarks

fuzz: $(VENV)/.dev  ## the parser under a coverage-guided fuzzer, for SECONDS (600)
	@mkdir -p build
	$(BIN)/python tests/fuzz/fuzz_parser.py -artifact_prefix=build/ -max_total_time=$(or $(SECONDS),600)

model: $(VENV)/.training  ## the shipped model from nothing: data, training, evaluation, export
	$(VENV)-training/bin/python -m training

schema: $(VENV)/.package  ## write the generated schemas again
	$(BIN)/python -m apr_agents.dsl.schema > dsl/workflow.schema.json

wheel: $(VENV)/.dev  ## build the wheel and the sdist into dist/, and try the wheel in a clean environment
	rm -rf build dist
	$(BIN)/python -m build
	$(PYTHON) -m venv build/clean
	build/clean/bin/python -m pip install --quiet dist/*.whl
	cd build && clean/bin/apr run ../examples/countdown.yaml --input numbers="3 5 7" --input target=22

clean:  ## remove what was built
	rm -rf $(VENV) $(VENV)-training $(VENV)-sglang build dist

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.package: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.package pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(VENV)/.training: $(VENV)/.package training/requirements.txt
	$(PYTHON) -m venv $(VENV)-training
	$(VENV)-training/bin/python -m pip install --quiet --requirement training/requirements.txt --editable .
	@touch $@

SGLANG := integrations/sglang/cpu
# torch by itself, so that only its index is asked for it and it is asked for nothing else.
$(VENV)-sglang/.ready: $(wildcard $(SGLANG)/*.txt $(SGLANG)/*.py)
	$(PYTHON) -m venv $(VENV)-sglang
	$(VENV)-sglang/bin/python -m pip install --quiet --retries 1 --no-deps --requirement $(SGLANG)/requirements-torch.txt
	$(VENV)-sglang/bin/python -m pip install --quiet --requirement $(SGLANG)/requirements.txt
	$(VENV)-sglang/bin/python -m pip install --quiet --no-deps --requirement $(SGLANG)/requirements-server.txt
	$(VENV)-sglang/bin/python $(SGLANG)/scripted_processor.py $(VENV)-sglang/scripted_processor.json
	@touch $@
