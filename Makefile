# make demo      a small network from nothing to its figures, in .venv
# make test      every check and test, ParaView rendering included
# make figures   renders every figure from state_files/
# make docs      builds this documentation as a site: docs/_build/html/index.html
# make screenshots  records the pictures of docs/window_tour.md in ParaView's window
# make mutants   changes the package's code in small ways, and lists the changes that its tests pass
# make bench     measures time and memory beside other programs, and fills in docs/performance.md
# make paper     trains the study's networks and recomputes all data under state_files/
# make clean     removes the environment, the demonstration and the built documentation
# make clean-study  removes study_runs/: hours of training

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOSSLANDSCAPE ?= $(BIN)/losslandscape
INSTALLED ?= $(VENV)/.installed
# what the checks, the documentation and the pictures of the window need beside the package itself
INSTALLED_TEST ?= $(VENV)/.installed_test

.DELETE_ON_ERROR:
.PHONY: help install paraview demo test figures docs docs-links screenshots mutants bench paper clean clean-study

help:
	@sed -n 's/^# make/make/p' Makefile

install: $(INSTALLED)

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c "import venv, ensurepip" 2>/dev/null || $(MAKE) --no-print-directory apt PACKAGES=python3-venv
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the package and what it needs into $(VENV): some minutes, for PyTorch is large."
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed_test: pyproject.toml | $(INSTALLED)
	@echo "Installing what the tests and the documentation need."
	@$(BIN)/python -m pip install --quiet --editable ".[test]"
	@touch $@

# ParaView from PVPYTHON=, the path or the usual folders; else from the distribution, where it can be.
FIND_PARAVIEW = $(BIN)/python -c "from losslandscape.paraview import process as p; p.check()"
paraview: $(INSTALLED)
	@$(FIND_PARAVIEW) >/dev/null 2>&1 \
	    || $(MAKE) --no-print-directory apt PACKAGES="paraview python3-paraview libqt5svg5 xvfb"
	@$(FIND_PARAVIEW)

.PHONY: apt
apt:
	@if ! command -v apt-get >/dev/null; then \
	    echo "Missing: $(PACKAGES) (names of Debian's packages). Install them with your system's means;" >&2; \
	    echo "ParaView is at https://www.paraview.org/download, and any can be named: make PVPYTHON=/where/pvpython" >&2; \
	    exit 1; \
	elif [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null; \
	else \
	    echo "Missing: run  sudo apt-get install --no-install-recommends $(PACKAGES)" >&2; \
	    echo "or name another ParaView: make PVPYTHON=/where/it/is/pvpython" >&2; \
	    exit 1; \
	fi

test: $(INSTALLED_TEST) paraview
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy compute/losslandscape
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

figures: $(INSTALLED) paraview
	$(BIN)/python -m losslandscape.paraview.process state_files/render_all.py

screenshots: $(INSTALLED_TEST) paraview
	$(BIN)/python -m docs.screenshots.record

# Of each module MUTANTS changes, which follow from SEED. MODULES="planes analysis/flatness": these alone.
MUTANTS ?= 10
SEED ?= 0
MODULES ?=
mutants: $(INSTALLED_TEST)
	$(BIN)/python -m pip install --quiet --editable ".[mutants]"
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants.run $(MODULES) --count $(MUTANTS) --seed $(SEED)

# landscaper's own requirements would replace numpy by one of 2023; its loop needs none of them.
BENCH ?=
BENCHMARKS := $(wildcard $(foreach name,evaluation profile memory adaptive,benchmarks/$(name).py))
bench: $(INSTALLED_TEST)
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	$(BIN)/python -m pip install --quiet --no-deps landscaper==1.3.1
	for file in $(BENCHMARKS); do \
	    $(BIN)/python -m benchmarks.$$(basename $$file .py) $(BENCH) || exit 1; \
	done
	$(BIN)/python -m benchmarks.report

# -W: a page that is missing, a dead link or a name that is not there fails. No network is needed.
SPHINX = $(BIN)/python -m sphinx -W --keep-going -q
docs: $(INSTALLED_TEST)
	$(SPHINX) -b html docs docs/_build/html
	@echo docs/_build/html/index.html

# Asks every address outside that the pages name (docs/_build/html/external_links.txt).
docs-links: $(INSTALLED_TEST)
	$(SPHINX) -b linkcheck docs docs/_build/links

clean:
	rm -rf docs/_build docs/generated
	rm -rf demo_run $(VENV)

# Hours of training and measuring.
clean-study:
	rm -rf study_runs

include demo.mk
include study.mk
