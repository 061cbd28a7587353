"""The link to the source at the foot of each page, from `project.urls` of ``pyproject.toml``.

A project without addresses there has no link.
"""

import sys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # a requirement of Sphinx on older versions

_NAMES = ("source", "repository", "source code")


def theme_options(pyproject):
    """Options of the theme that link to the source.

    Parameters
    ----------
    pyproject : str
        Text of ``pyproject.toml``.

    Returns
    -------
    dict
        Empty if `project.urls` has no Source or Repository.
    """
    addresses = tomllib.loads(pyproject)["project"].get("urls", {})
    found = [url for name, url in addresses.items() if name.lower() in _NAMES]
    if not found:
        return {}
    mark = '<svg viewBox="0 0 16 16" fill="currentColor" aria-hidden="true"><path d="M5 4 1 8l4 4'
    mark += ' 1-1-3-3 3-3zm6 0-1 1 3 3-3 3 1 1 4-4z"/></svg>'
    return {"footer_icons": [{"name": "Source", "url": found[0], "html": mark, "class": ""}]}
