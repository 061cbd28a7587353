# make demo      a small network from nothing to its figures, in .venv
# make test      every check and test, ParaView rendering included
# make test-slow  the tests that take minutes each (an hour)
# make lint      style, types and the order of imports alone
# make test-paraviews  the plugin's tests in each ParaView it supports (root, Debian)
# make test-arithmetic  the numerical tests with another processor's arithmetic
# make coverage  the share of lines that the tests run, by folder
# make figures   renders every figure from state_files/
# make three     bundles three.js for interactive pages again, from npm
# make docs      builds this documentation as a site: docs/_build/html/index.html
# make refusals  writes docs/refusals.md, every message of refusal, from the code
# make options   writes docs/options.md, the range of each option and which go together
# make screenshots  records the pictures of docs/window_tour.md in ParaView's window
# make mutants   changes the package's code in small ways, and lists the changes that its tests pass
# make bench     measures time and memory beside other programs, and fills in docs/performance.md
# make bench-processors  a point's time with each instruction set of this processor (15 minutes)
# make coverage-study  tries every stated error against known truth, and writes docs/coverage.md
# make study-curvature  the data of figures 6 and 7: curvature of a small network, and trust in its plane
# make study-rl  the landscapes of an actor and its critic, with their table (docs/actor_critic.md)
# make study-huang  finds good and bad minima of two spirals, and writes docs/basin_volume.md's table
# make study-li  trains the networks of Li et al. 2018, and judges their findings (docs/score_card.md)
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
# Its own requirements would replace numpy by one of 2023; what is used of it needs none of them.
LANDSCAPER := landscaper==1.3.1

.DELETE_ON_ERROR:
.PHONY: help install demo test test-slow lint test-arithmetic coverage figures docs docs-links refusals options screenshots \
    mutants bench bench-processors coverage-study paper clean clean-study

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
	@$(BIN)/python -m pip install --quiet --no-deps $(LANDSCAPER) \
	    || echo "There is no $(LANDSCAPER) for this Python: the tests of its own files are skipped."
	@touch $@

lint: $(INSTALLED_TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto compute/losslandscape paraview_plugin
	PYTHONPATH=compute:paraview_plugin $(BIN)/lint-imports

# One thread each: a process a core is faster than threads of several that wait for each other.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -rs
# What is installed and what is checked meanwhile need each other little.
test:
	$(MAKE) --no-print-directory -j 2 lint paraview programs-for-tests
	$(PYTEST)

# Those that take minutes, without which the others find most faults.
test-slow: $(INSTALLED_TEST) paraview programs-for-tests
	$(PYTEST) -m slow

# NumPy, PyTorch and their linear algebra as an old processor has them, with two threads: last bits
# differ from those of stored results.
ARITHMETIC = NPY_DISABLE_CPU_FEATURES="$$($(BIN)/python -c 'from numpy._core._multiarray_umath \
    import __cpu_dispatch__ as found; print(*found)')" ATEN_CPU_CAPABILITY=default \
    OPENBLAS_CORETYPE=Nehalem MKL_ENABLE_INSTRUCTIONS=SSE4_2 ONEDNN_MAX_CPU_ISA=SSE41
NUMERICAL := $(foreach folder,adaptive analysis landscape planes point problem topology,tests/$(folder))
test-arithmetic: $(INSTALLED_TEST)
	$(ARITHMETIC) OMP_NUM_THREADS=2 $(BIN)/python -m pytest -n auto --dist loadfile $(NUMERICAL)

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

BENCH ?=
BENCHMARKS := $(wildcard $(foreach name,evaluation profile memory adaptive,benchmarks/$(name).py))
bench: $(INSTALLED_TEST)
	for file in $(BENCHMARKS); do \
	    $(BIN)/python -m benchmarks.$$(basename $$file .py) $(BENCH) || exit 1; \
	done
	$(BIN)/python -m benchmarks.report

bench-processors: $(INSTALLED_TEST)
	$(BIN)/python -m benchmarks.processors $(BENCH)

# An hour on two cores; STUDY_OPTIONS=--quick: minutes. A killed run goes on where it was.
STUDY_OPTIONS ?=
coverage-study: $(INSTALLED_TEST)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.coverage $(STUDY_OPTIONS)

# Lines of the package in losslandscape and in the processes that tests start, ParaView's excepted.
coverage: $(INSTALLED_TEST)
	rm -f .coverage .coverage.*
	$(PYTEST) --cov --cov-report= --ignore tests/plugin
	$(BIN)/python make/coverage_by_folder.py

# -W: a page that is missing, a dead link or a name that is not there fails. No network is needed.
SPHINX = $(BIN)/python -m sphinx -W --keep-going -q
docs: $(INSTALLED_TEST)
	@if $(FIND_PARAVIEW) >/dev/null 2>&1; then $(MAKE) --no-print-directory $(INTERACTIVE); \
	else echo "There is no ParaView: the site has no interactive figures."; fi
	$(SPHINX) -b html docs docs/_build/html
	@echo docs/_build/html/index.html

# Each figure of state_files/ as an interactive page, which Sphinx copies into the site.
INTERACTIVE := $(patsubst state_files/%.pvsm,docs/_build/extra/interactive/%.html,$(wildcard state_files/*.pvsm))
docs/_build/extra/interactive/%.html: state_files/%.py state_files/%.png \
    $(wildcard paraview_plugin/losslandscape_paraview/export/web_viewer/*)
	@mkdir -p $(@D)
	$(BIN)/python -m losslandscape.paraview.process $< --output $@ >/dev/null

# Asks every address outside that the pages name (docs/_build/html/external_links.txt).
docs-links: $(INSTALLED_TEST)
	$(SPHINX) -b linkcheck docs docs/_build/links

# Read from the code alone: any Python will do.
refusals:
	$(PYTHON) docs/_extensions/refusals.py

# Python 3.10 or newer, nothing else.
options:
	$(PYTHON) docs/_extensions/options.py

clean:
	rm -rf docs/_build docs/generated
	rm -rf demo_run $(VENV)

# Hours of training and measuring.
clean-study:
	rm -rf study_runs

include $(wildcard make/*.mk)
