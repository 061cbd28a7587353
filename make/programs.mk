# What pip cannot install: ParaView, and programs that some tests need. As root on Debian or Ubuntu the
# distribution's are installed; elsewhere a line says what is missing.

.PHONY: apt paraview programs-for-tests

# ParaView from PVPYTHON=, the path or the usual folders; else from the distribution, where it can be.
FIND_PARAVIEW = $(BIN)/python -c "from losslandscape.paraview import process as p; p.check()"
paraview: $(INSTALLED)
	@$(FIND_PARAVIEW) >/dev/null 2>&1 \
	    || $(MAKE) --no-print-directory apt PACKAGES="paraview python3-paraview libqt5svg5 xvfb"
	@$(FIND_PARAVIEW)

# Chromium opens exported web pages, mpirun starts runs on several machines, Xvfb shows windows.
# Tests of what is missing are skipped, each with its reason.
programs-for-tests:
	@missing=; \
	for program in chromium mpirun Xvfb; do \
	    command -v $$program >/dev/null || missing="$$missing $$program"; \
	done; \
	[ -z "$$missing" ] \
	    || $(MAKE) --no-print-directory apt PACKAGES="chromium openmpi-bin xvfb" 2>/dev/null \
	    || echo "Tests that need$$missing are skipped: sudo apt-get install chromium openmpi-bin xvfb"

# One at a time, where make runs several targets at once.
apt:
	@if ! command -v apt-get >/dev/null; then \
	    echo "Missing: $(PACKAGES) (names of Debian's packages). Install them with your system's means;" >&2; \
	    echo "ParaView is at https://www.paraview.org/download, and any can be named: make PVPYTHON=/where/pvpython" >&2; \
	    exit 1; \
	elif [ "$$(id -u)" = 0 ]; then \
	    exec 9>/tmp/losslandscape-apt.lock && flock 9 && apt-get update -qq \
	    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null 9>&-; \
	else \
	    echo "Missing: run  sudo apt-get install --no-install-recommends $(PACKAGES)" >&2; \
	    echo "or name another ParaView: make PVPYTHON=/where/it/is/pvpython" >&2; \
	    exit 1; \
	fi
