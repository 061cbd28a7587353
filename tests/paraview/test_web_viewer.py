"""The bundle of three.js that interactive pages carry is the one that `make three` makes."""

import hashlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VIEWER = ROOT / "paraview_plugin" / "losslandscape_paraview" / "export" / "web_viewer"
SOURCE = ROOT / "make" / "three"


def test_the_bundle_is_of_the_locked_version_and_has_its_license():
    lock = json.loads((SOURCE / "package-lock.json").read_text(encoding="utf-8"))
    version = lock["packages"]["node_modules/three"]["version"]
    wanted = json.loads((SOURCE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert wanted == {"three": version}
    bundle = (VIEWER / "three.min.js").read_bytes()
    head = bundle[:2000].decode("utf-8")
    assert head.startswith(f"/*! three.js {version}\nThe MIT License\n")
    assert "WITHOUT WARRANTY OF ANY KIND" in head
    readme = (VIEWER / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(bundle).hexdigest() in readme
    assert f"{len(bundle):,} bytes" in readme


def test_all_that_is_locked_has_a_checksum_and_no_address():
    packages = json.loads((SOURCE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    locked = {name: entry for name, entry in packages.items() if name}
    assert {"node_modules/three", "node_modules/esbuild"} <= locked.keys()
    for name, entry in locked.items():
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]+=*", entry["integrity"]), name
        assert "resolved" not in entry, name


def test_the_viewer_uses_only_what_the_bundle_has():
    used = set(re.findall(r"\bTHREE\.(\w+)", (VIEWER / "viewer.js").read_text(encoding="utf-8")))
    entry = (SOURCE / "entry.js").read_text(encoding="utf-8")
    named = set(re.findall(r"\b[A-Z]\w+", "".join(re.findall(r"\{([^}]*)\}", entry))))
    assert used
    assert used <= named
