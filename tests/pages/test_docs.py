"""The site: it builds without a warning, its code runs, and its pictures are of today's data."""

import importlib
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import losslandscape
from losslandscape import cli
from losslandscape.errors import LossLandscapeError

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NEEDED = ("sphinx", "myst_parser", "furo", "sphinx_copybutton", "sphinx_design")
SPHINX = ("-m", "sphinx", "-E", "-W", "--keep-going", "-q", "-b", "html")
RUNNABLE = re.compile(
    # what the page shows as the block's output may follow
    r"^```(\w+) runnable\n(.*?)^```$(?:\n+^```text output\n(.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)


def blocks_to_run(page):
    """The page's blocks that say so: language, text, and the output that the page shows or ""."""
    return RUNNABLE.findall(page.read_text(encoding="utf-8"))


def without_numbers(text):
    """The words of an output, whatever its numbers, which differ from processor to processor."""
    return re.sub(r"-?\d[\d.,]*(e[+-]?\d+)?", "0", text).split()


PAGES_THAT_RUN = [page.stem for page in sorted(DOCS.glob("*.md")) if blocks_to_run(page)]


@pytest.fixture(scope="module")
def sphinx_build():
    """Build a folder of pages with the site's own configuration, warnings as errors."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; pip install -e '.[docs]'")

    def build(source, output):
        return subprocess.run(
            [sys.executable, *SPHINX, "-c", str(DOCS), str(source), str(output)],
            capture_output=True,
            text=True,
            timeout=900,
            cwd=ROOT,
        )

    return build


@pytest.fixture(scope="module")
def site(sphinx_build, tmp_path_factory):
    """The built site."""
    output = tmp_path_factory.mktemp("site")
    done = sphinx_build(DOCS, output)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


@pytest.fixture
def extension(monkeypatch):
    """Import a module of the site's own extensions."""
    pytest.importorskip("sphinx", reason="not installed; pip install -e '.[docs]'")
    monkeypatch.syspath_prepend(str(DOCS / "_extensions"))
    return importlib.import_module


def test_builds_with_every_page_without_a_warning(site):
    for page in DOCS.glob("*.md"):
        assert (site / f"{page.stem}.html").is_file(), page.name


def test_every_verb_has_a_page_with_its_options(site):
    verbs = cli._available_verbs()
    assert verbs
    for verb in verbs:
        assert f"losslandscape {verb}" in (site / f"generated/commands/{verb}.html").read_text()
    assert 'id="cmdoption-losslandscape-surface-tolerance"' in (
        site / "generated/commands/surface.html"
    ).read_text(encoding="utf-8")


def test_every_public_name_is_documented(site):
    import losslandscape_paraview

    index = (site / "genindex.html").read_text(encoding="utf-8")
    for package in (losslandscape, losslandscape_paraview, losslandscape.topology):
        for name in package.__all__:
            path = f"{package.__name__}.{name}"
            assert path == "losslandscape.topology" or f"#{path}" in index, f"{path}: no page"


def test_every_figure_has_its_script_and_its_picture(site):
    for script in sorted((ROOT / "state_files").glob("figure*.py")):
        page = (site / f"generated/figures/{script.stem}.html").read_text(encoding="utf-8")
        assert f"_images/{script.stem}.png" in page
        assert 'highlight-python notranslate"' in page
        assert (site / "_images" / f"{script.stem}.png").read_bytes() == script.with_suffix(
            ".png"
        ).read_bytes()


def test_the_gallery_has_every_figure_with_its_files(site):
    gallery = (site / "gallery.html").read_text(encoding="utf-8")
    scripts = sorted((ROOT / "state_files").glob("figure*.py"))
    for script in scripts:
        assert f'src="_images/{script.stem}.png"' in gallery
        assert f'href="generated/figures/{script.stem}.html"' in gallery
    offered = {Path(link).name for link in re.findall(r'href="(_downloads/[^"]+)"', gallery)}
    assert offered == {f"{script.stem}{end}" for script in scripts for end in (".pvsm", ".zip")}


def test_an_unpacked_figure_has_all_that_its_state_reads(extension, tmp_path):
    generated_pages = extension("generated_pages")
    script = ROOT / "state_files" / "figure2_trajectories.py"
    content = generated_pages.figure_archive(script)
    assert content == generated_pages.figure_archive(script)
    (tmp_path / "figure.zip").write_bytes(content)
    shutil.unpack_archive(tmp_path / "figure.zip", tmp_path)
    folder = tmp_path / script.stem
    state = (folder / f"{script.stem}.pvsm").read_text(encoding="utf-8")
    read = set(re.findall(r'"(data/[^"]+\.vt[ip])"', state))
    assert len(read) == 4
    for name in read:
        assert (folder / name).read_bytes() == (ROOT / "state_files" / name).read_bytes()


def test_a_new_figure_enters_the_gallery_by_its_files(extension, copied_figure, monkeypatch):
    generated_pages = extension("generated_pages")
    monkeypatch.setattr(generated_pages, "STATE_FILES", copied_figure.parent)
    new = copied_figure.with_name("figure9_new.py")
    text = copied_figure.read_text(encoding="utf-8")
    new.write_text(re.sub('^"""[^"]*"""', '"""Figure 9: something new."""', text), encoding="utf-8")
    for ending in (".pvsm", ".png"):
        shutil.copy(copied_figure.with_suffix(ending), new.with_suffix(ending))
    cards = generated_pages.gallery_cards()
    assert "[![Figure 9: something new.](../state_files/figure9_new.png)]" in cards
    assert "**Figure 9, new**: Something new." in cards
    assert "figures/figure9_new.md" in generated_pages.figure_pages()


def test_interactive_figures_are_shown_where_they_were_drawn(extension, tmp_path, monkeypatch):
    generated_pages = extension("generated_pages")
    monkeypatch.setattr(generated_pages, "EXTRA", tmp_path)
    name = "figures/figure1_surfaces.md"
    assert "<iframe" not in generated_pages.figure_pages()[name]
    (tmp_path / "interactive").mkdir()
    (tmp_path / "interactive" / "figure1_surfaces.html").touch()
    assert 'src="../../interactive/figure1_surfaces.html"' in generated_pages.figure_pages()[name]


def test_every_picture_has_words_and_every_column_a_head(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for picture in re.findall(r"<img [^>]*>", text):
            assert re.search(r'alt="[^"]+"', picture), f"{page.name}: {picture}"
        assert not re.search(r"<th[^>]*>(\s|</?p>)*</th>", text), page.name


def test_docstrings_link_to_sources_and_to_types_of_other_packages(site):
    api = site / "generated" / "api"
    directions = (api / "losslandscape.Subspace.html").read_text(encoding="utf-8")
    assert 'href="../../references.html#li-et-al-2018">Li et al. 2018</a>' in directions
    objective = (api / "losslandscape.Objective.html").read_text(encoding="utf-8")
    assert "docs.pytorch.org/docs/stable/generated/torch.nn.Module.html" in objective
    for anchor in re.findall(r'references\.html#([\w-]+)"', directions):
        assert f'id="{anchor}"' in (site / "references.html").read_text(encoding="utf-8")


def test_a_source_is_found_across_lines(extension):
    linked_words = extension("linked_words")
    text = "small (Li et al.\n2018, section 4), not Li et al. 20180"
    assert list(linked_words.split_at_sources(text, ["Li et al. 2018"])) == [
        ("small (", None),
        ("Li et al.\n2018", "Li et al. 2018"),
        (", section 4), not Li et al. 20180", None),
    ]


def test_the_site_links_to_the_source_that_the_project_names(extension):
    theme_options = extension("project_links").theme_options
    assert theme_options("[project]\nname = 'x'\n") == {}
    named = "[project]\n[project.urls]\nHomepage = 'https://a.org'\nSource = 'https://b.org'\n"
    (icon,) = theme_options(named)["footer_icons"]
    assert icon["url"] == "https://b.org"


def test_release_notes_are_the_changelog(site):
    page = (site / "changes.html").read_text(encoding="utf-8")
    entries = re.findall(r"^- \*\*(.+?)\*\*", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert len(entries) > 20
    words = re.sub(r"<[^>]+>", "", page)
    plain = [entry for entry in entries if entry.replace(" ", "").isalpha()]
    assert plain
    assert all(entry in words for entry in plain)


def test_addresses_outside_are_listed_and_not_asked(site):
    lines = (site / "external_links.txt").read_text(encoding="utf-8").splitlines()
    assert "https://arxiv.org/abs/1712.09913\treferences" in lines


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("[a page](nowhere.md)", "nowhere.md"),
        ("[a part](index.md#no-such-part)", "no-such-part"),
        ("![a picture](nothing.png)", "nothing.png"),
        ("```{eval-rst}\n:func:`losslandscape.evaluat`\n```", "losslandscape.evaluat"),
    ],
)
def test_a_fault_in_a_page_fails_the_build(sphinx_build, tmp_path, fault, complaint):
    source = tmp_path / "pages"
    source.mkdir()
    (source / "index.md").write_text(f"# A page\n\n{fault}\n", encoding="utf-8")
    done = sphinx_build(source, tmp_path / "html")
    assert done.returncode != 0
    assert complaint in done.stderr


def test_a_page_that_the_index_does_not_place_is_still_reached(sphinx_build, tmp_path):
    source = tmp_path / "pages"
    source.mkdir()
    (source / "index.md").write_text("# A site\n", encoding="utf-8")
    (source / "new.md").write_text("# Something new\n", encoding="utf-8")
    done = sphinx_build(source, tmp_path / "html")
    assert done.returncode == 0, done.stderr
    assert "Something new" in (tmp_path / "html" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES_THAT_RUN)
def test_what_a_page_says_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for language, text, shown in blocks_to_run(DOCS / f"{page}.md"):
        capsys.readouterr()
        if language == "python":
            exec(compile(text, f"docs/{page}.md", "exec"), names)
        else:
            for command in text.replace("\\\n", " ").strip().splitlines():
                run_command(shlex.split(command, comments=True))
        if shown:
            assert without_numbers(capsys.readouterr().out) == without_numbers(shown)


def run_command(words):
    """One line of a shell block; a picture is drawn only where ParaView is."""
    program, *arguments = words
    assert program == "losslandscape", f"{program}: only this project's commands are run"
    if arguments[0] == "render":
        from losslandscape.paraview.process import find_pvpython

        try:
            find_pvpython()
        except LossLandscapeError:
            return
    assert cli.main(arguments) == 0, shlex.join(words)


def test_pages_that_should_run_are_found():
    assert {"start", "own_model", "reading"} <= set(PAGES_THAT_RUN)


@pytest.fixture
def copied_figure(tmp_path):
    """A copy of one figure, its data and the record of what it was built from."""
    shutil.copytree(
        ROOT / "state_files", tmp_path / "copy", ignore=shutil.ignore_patterns("landscape.nc")
    )
    return tmp_path / "copy" / "figure2_trajectories.py"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (None, ""),
        ("figure2_trajectories.py", "built before a change of figure2_trajectories.py"),
        ("data/vgg11_pca/surface.vti", "built before a change of data/vgg11_pca/surface.vti"),
        ("figure2_trajectories.png", "not the picture that was built"),
        ("pictures.json", "does not say what it was built from"),
        ("data/vgg11_three/surface.vti", ""),
    ],
)
def test_a_picture_older_than_its_data_is_noticed(copied_figure, changed, reason):
    from losslandscape_paraview.export.picture_record import outdated, record_picture

    if changed == "pictures.json":
        (copied_figure.parent / changed).unlink()
    elif changed:
        with open(copied_figure.parent / changed, "ab") as file:
            file.write(b"\n")
    assert reason in outdated(copied_figure)
    assert bool(reason) == bool(outdated(copied_figure))
    record_picture(copied_figure)
    assert outdated(copied_figure) == ""


def test_the_citation_names_this_version():
    yaml = pytest.importorskip("yaml")  # comes with myst-parser
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == losslandscape.__version__
    citing = (DOCS / "citing.md").read_text(encoding="utf-8")
    # once as text and once as BibTeX
    assert citing.count(f"Version {losslandscape.__version__}, {citation['license']}") == 2


def test_a_public_name_that_no_page_places_has_a_page(extension, monkeypatch):
    generated_pages = extension("generated_pages")
    assert "   evaluate" not in "".join(generated_pages.name_pages().values()).splitlines()
    monkeypatch.setattr(losslandscape, "__all__", [*losslandscape.__all__, "new_name"])
    monkeypatch.setattr(losslandscape, "new_name", print, raising=False)
    (page,) = generated_pages.name_pages().values()
    assert "   new_name" in page.splitlines()
