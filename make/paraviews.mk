# The plugin's tests in each ParaView it supports: those of three Debian releases. Root on Debian
# alone: each is made once, by debootstrap, as a folder of PARAVIEWS, of about 2.5 GB.
# RELEASES="trixie forky": these alone. PLUGIN_TESTS=tests/plugin/figures: these tests alone.

.PHONY: test-paraviews

PARAVIEWS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/losslandscape/paraviews
RELEASES ?=
PLUGIN_TESTS ?= tests/plugin
test-paraviews: $(INSTALLED_TEST)
	@command -v debootstrap >/dev/null || $(MAKE) --no-print-directory apt PACKAGES="debootstrap xvfb"
	OMP_NUM_THREADS=1 $(BIN)/python make/test_paraviews.py --cache "$(PARAVIEWS)" \
	    $(foreach release,$(RELEASES),--release $(release)) $(PLUGIN_TESTS)
