# The part of three.js that interactive pages carry, bundled again from npm. The bundle is in the
# repository, so that nothing else needs Node.js: run this after a change in make/three/.

.PHONY: three

THREE := paraview_plugin/losslandscape_paraview/export/web_viewer/three.min.js
three:
	@command -v npm >/dev/null || $(MAKE) --no-print-directory apt PACKAGES="nodejs npm"
	cd make/three && npm ci --no-audit --no-fund
	cd make/three && npm run bundle -- $(abspath $(THREE))
	@sha256sum $(THREE)
