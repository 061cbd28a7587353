"""How Sphinx builds the site: `make docs`."""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS / "_extensions"), str(ROOT / "compute"), str(ROOT / "paraview_plugin")]

from project_links import theme_options  # noqa: E402

from losslandscape import __version__  # noqa: E402

project = "losslandscape"
author = "the losslandscape authors"
copyright = "the losslandscape authors, BSD-3-Clause"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "generated_pages",
    "large_pictures",
    "linked_words",
    "public_names",
    "other_pages",
    "external_links",
]
exclude_patterns = ["_build", "_extensions", "_templates"]
templates_path = ["_templates"]
nitpicky = True
# Types in docstrings are prose ("array of shape (n, 2)"); other projects' pages are not looked up.
nitpick_ignore_regex = [
    ("py:(class|obj)", r"(?!losslandscape(_paraview)?\.).*"),
    ("py:.*", r"(torch|numpy|scipy|concurrent)\..*"),
]

# Pages are read on the forge too: nothing that is not Markdown there.
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto"]

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types are in the docstrings, with shapes and units
autodoc_mock_imports = ["paraview"]
napoleon_use_rtype = False
napoleon_custom_sections = [("Ports", "params_style")]
default_role = "py:obj"
add_module_names = False

html_theme = "furo"
html_title = f"losslandscape {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_theme_options = theme_options((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# interactive figures, which `make docs` draws where there is a ParaView
html_extra_path = [str(path) for path in [DOCS / "_build" / "extra"] if path.is_dir()]
html_copy_source = False
wide_pages = ["window_tour"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
