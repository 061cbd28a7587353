"""Pages generated from the code before each build, in ``docs/generated/``.

Each command (from its parser), figure (from its script, picture and data) and ParaView proxy (from
its decorators) has a page. One more page has the public names that the interface pages do not
place. A new verb, figure, filter or name has its page without any work here.
"""

import ast
import inspect
import io
import re
import zipfile
from pathlib import Path

import paraview_proxies
from command_line import command_page, parsers
from sphinx.util import logging

import losslandscape
import losslandscape_paraview
from losslandscape_paraview.export.picture_record import inputs_of, outdated
from losslandscape_paraview.figure_script import scripts_in

DOCS = Path(__file__).resolve().parents[1]
STATE_FILES = DOCS.parent / "state_files"
GENERATED = DOCS / "generated"
# What `make docs` draws with ParaView, if there is one; Sphinx copies it into the site.
EXTRA = DOCS / "_build" / "extra"
INTERFACES = (
    (losslandscape, "api.md"),
    (losslandscape.topology, "api.md"),
    (losslandscape_paraview, "paraview_reference.md"),
)
OTHER_NAMES = "other_names.md"
GALLERY = "gallery"
FIGURES_HERE = "<!-- the figures of state_files/ -->"
_PROPERTY_HEAD = ("| label | in Python | default | meaning |", "| --- | --- | --- | --- |")

logger = logging.getLogger(__name__)


def setup(app):
    """Write the pages before Sphinx searches for pages, so that it finds them."""
    app.connect("config-inited", _write_for)
    app.connect("env-get-outdated", _gallery_is_outdated)
    app.connect("source-read", _show_figures)
    return {"parallel_read_safe": True}


def _write_for(app, config):
    # a build of other pages with this configuration does not need these
    if Path(app.srcdir).resolve() == DOCS:
        write_pages(GENERATED)


def _gallery_is_outdated(app, env, added, changed, removed):
    return [GALLERY] if GALLERY in env.found_docs else []


def _show_figures(app, page, source):
    if page == GALLERY:
        source[0] = source[0].replace(FIGURES_HERE, gallery_cards())


def write_pages(folder):
    """Write all pages in `folder`, and remove pages of objects that no longer exist."""
    pages = {**command_pages(), **figure_pages(), **proxy_pages(), **name_pages()}
    files = {name: text.encode("utf-8") for name, text in pages.items()}
    for script in scripts_in(STATE_FILES):
        files[f"figures/{script.stem}.zip"] = figure_archive(script)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # an unchanged page keeps its modification time, so that it is not built again
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    for path in (*folder.glob("**/*.md"), *folder.glob("**/*.zip")):  # autosummary's are .rst
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()


def command_pages():
    """One page per verb of the command line: path -> text."""
    return {f"commands/{verb}.md": command_page(verb, parser) for verb, parser in parsers().items()}


def figure_pages():
    """One page per script of `state_files/`: path -> text. Outdated pictures give a warning."""
    pages = {}
    for script in scripts_in(STATE_FILES):
        reason = outdated(script)
        if reason:
            logger.warning(
                "state_files/%s; build it again: pvpython state_files/build_states.py %s",
                reason,
                script.stem,
                type="losslandscape",
                subtype="outdated_picture",
            )
        pages[f"figures/{script.stem}.md"] = _figure_page(script)
    return pages


def gallery_cards():
    """The thumbnails of all figures, each with links to what it was made from, as Markdown."""
    scripts = sorted(scripts_in(STATE_FILES), key=_place)
    cards = [line for script in scripts for line in _card(script)]
    return "\n".join(["::::{grid} 1 2 2 2", ":gutter: 3", "", *cards, "::::"])


def _place(script):
    """By number; a figure before its variants."""
    number = re.search(r"\d*", script.stem.lstrip("abcdefghijklmnopqrstuvwxyz")).group()
    return int(number or 0), "variant" in _words_of(script)[0], script.stem


def _card(script):
    name = script.stem
    page = f"generated/figures/{name}.md"
    title, _ = _words_of(script)
    return [
        ":::{grid-item-card}",
        f"[![{title}](../state_files/{name}.png)]({page})",
        "",
        f"**{_name(name)}**: {_without_number(title)}",
        "",
        f"[page]({page}) · [interactive]({page}#turn-it) · [script]({page}#its-script) · "
        f"{{download}}`state <../state_files/{name}.pvsm>` · [data]({page}#its-files) · "
        f"{{download}}`all files <generated/figures/{name}.zip>`",
        ":::",
        "",
    ]


def figure_archive(script):
    """A figure's script, state, picture and data as a ZIP archive, the same bytes each time.

    Its folders are those of ``state_files/``, so that the unpacked state finds its data.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (
            script.with_suffix(".pvsm"),
            script.with_suffix(".png"),
            *inputs_of(script),
        ):
            inside = f"{script.stem}/{path.relative_to(STATE_FILES).as_posix()}"
            entry = zipfile.ZipInfo(inside, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return content.getvalue()


def _words_of(script):
    """The first sentence of a script's docstring in one line, and its other paragraphs."""
    title, *rest = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))).split("\n\n")
    return _sentence(title), rest


def _without_number(title):
    """A caption without its "Figure 1: "."""
    return _sentence(re.sub(r"^Figure \d+[^:]*: ", "", title))


def _figure_page(script):
    name = script.stem
    title, rest = _words_of(script)
    above = "../../../state_files"
    data = [path.relative_to(STATE_FILES).as_posix() for path in inputs_of(script)[1:]]
    return "\n".join(
        [
            f"# {_name(name)}",
            "",
            title,
            *("\n" + paragraph for paragraph in rest),
            "",
            f"![{title}]({above}/{name}.png)",
            "",
            "See [The figures](../../figures.md) for what it shows.",
            "",
            "## Turn it",
            "",
            *_interactive(name),
            "",
            "## Its files",
            "",
            f"{{download}}`{name}.zip <{name}.zip>` has all of them. Unpack it, then open the "
            "state in any ParaView, without the plugin:",
            "",
            "```sh",
            f"cd {name} && paraview --state={name}.pvsm",
            "```",
            "",
            f"- script: {{download}}`{name}.py <{above}/{name}.py>`",
            f"- state: {{download}}`{name}.pvsm <{above}/{name}.pvsm>`",
            *(f"- data: {{download}}`{path} <{above}/{path}>`" for path in data),
            "",
            "## Its script",
            "",
            f"```{{literalinclude}} {above}/{name}.py",
            ":language: python",
            "```",
            "",
            f"`pvpython state_files/{name}.py` builds the figure and saves its picture. "
            f"`pvpython state_files/build_states.py {name}` writes its state file and the picture "
            "above, and records their sources in `state_files/pictures.json`. If one of these "
            "files has changed since, the build of this site fails.",
            "",
        ]
    )


def _interactive(name):
    """The figure in a frame, where `make docs` drew it; else how to draw it."""
    command = f"`pvpython state_files/{name}.py --output {name}.html`"
    if not (EXTRA / "interactive" / f"{name}.html").is_file():
        return [f"This site was built without ParaView. {command} writes an interactive page."]
    page = f"../../interactive/{name}.html"
    return [
        "```{raw} html",
        f'<iframe class="figure" src="{page}" title="{_name(name)}, interactive" loading="lazy">'
        "</iframe>",
        f'<p><a href="{page}">Open it alone</a></p>',
        "```",
        "",
        f"Drag to turn it, or use the arrow keys. {command} writes this page.",
    ]


def proxy_pages():
    """One page per reader, source or filter of the ParaView plugin: path -> text."""
    return {
        f"paraview/{proxy.name}.md": _proxy_page(proxy) for proxy in paraview_proxies.read_proxies()
    }


def _proxy_page(proxy):
    if proxy.kind == "reader":
        where = f"*File > Open*, files ending in {_listed(proxy.extensions)}"
    else:
        menu = {"filter": "Filters", "source": "Sources"}.get(proxy.kind, "File")
        where = f"*{menu} > {proxy.menu or 'Alphabetical'} > {proxy.label}*"
    rows = [
        f"| {property.label} | `{property.python_name}` | {_code_or_words(property.default)} "
        f"| {_cell(property.text)} |"
        for property in proxy.properties
    ]
    ports = [f"| {index} | {name} |" for index, name in enumerate(proxy.outputs)]
    return "\n".join(
        [
            f"# {proxy.label}",
            "",
            f"A {proxy.kind}: {where}. In `paraview.simple`: `{proxy.name}`.",
            "",
            proxy.text,
            "",
            *(["## Properties", ""] if rows else []),
            *(_PROPERTY_HEAD if rows else []),
            *rows,
            "",
            *(["## Outputs", "", "| port | name |", "| --- | --- |"] if ports else []),
            *ports,
            "",
            *_algorithm(proxy.algorithm),
        ]
    )


def _algorithm(path):
    """The docstring of the class that does the work, if it belongs to this project."""
    if not path:
        return []
    return [
        "## Algorithm",
        "",
        "```{eval-rst}",
        f".. autoclass:: {path}",
        "   :no-members:",
        "```",
        "",
    ]


def name_pages():
    """A page of the public names that no interface page lists, if there are any."""
    names = {package.__name__: _not_placed(package, page) for package, page in INTERFACES}
    if not any(names.values()):
        return {}
    lists = [
        line
        for package, those in names.items()
        if those
        for line in (
            f".. currentmodule:: {package}",
            "",
            ".. autosummary::",
            "   :toctree: api",
            "",
            *(f"   {name}" for name in those),
            "",
        )
    ]
    return {
        OTHER_NAMES: "\n".join(["# Other public names", "", "```{eval-rst}", *lists, "```", ""])
    }


def _not_placed(package, page):
    placed = (DOCS / page).read_text(encoding="utf-8").split()
    return [
        name
        for name in package.__all__
        if name not in placed and not inspect.ismodule(getattr(package, name))
    ]


def _name(stem):
    """The title of a script: ``figure1_fixed_statistics`` becomes Figure 1, fixed statistics."""
    kind, number, words = re.fullmatch(r"([a-z]+)(\d*)_?(.*)", stem).groups()
    return f"{kind.capitalize()} {number}, {words.replace('_', ' ')}".strip(", ")


def _sentence(text):
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _listed(extensions):
    return " or ".join(f"`.{extension}`" for extension in extensions.split())


def _code_or_words(default):
    return default if default in ("", paraview_proxies.BY_DATA) else f"`{default}`"


def _cell(text):
    return text.replace("|", "\\|")
