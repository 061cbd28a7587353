# make demo     a small network from nothing to its figures, in .venv
# make test     every check and test, ParaView rendering included
# make figures  renders every figure from state_files/
# make paper    trains the study's networks and recomputes all data under state_files/

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOSSLANDSCAPE ?= $(BIN)/losslandscape
INSTALLED := $(VENV)/.installed

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: demo test figures paper install paraview clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

include study.mk
