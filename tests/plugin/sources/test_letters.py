"""Words and names that ParaView cannot draw or compute with as they are; without ParaView."""

import sys

import pytest


@pytest.fixture
def sources(repository, monkeypatch):
    pytest.importorskip("vtkmodules")
    monkeypatch.syspath_prepend(str(repository / "paraview_plugin"))
    from losslandscape_paraview import sources
    from losslandscape_paraview.sources import landscape_sources, letters, provenance

    del landscape_sources, letters, provenance
    yield sources
    for name in [name for name in sys.modules if name.startswith("losslandscape_paraview")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("caf\u00e9 \u2264 1", "caf\u00e9 \u2264 1"),
        ("\u2207L at \u03b1 = \u22121", "$\\nabla$L at $\\alpha$ = -1"),
        ("\u03a9, \u221e and $5", "$\\Omega$, $\\infty$ and \\$5"),
    ],
)
def test_letters_without_a_font_are_formulas_and_come_back(sources, words, written):
    assert sources.provenance.literal(words) == written
    assert sources.provenance.plain(written) == words.replace("\u2212", "-")


def test_letters_that_no_font_has_are_named(sources):
    assert sources.letters.with_formulas("\u640d\u5931 loss")[1] == ["\u640d", "\u5931"]


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        *(("loss", True), ("top5_accuracy", True), ("Accuracy", True), ("_x", True)),
        *(("Brier score", False), ("top-5", False), ("2x", False), ("\u03b1", False)),
        *(("sin", False), ("MAX", False), ("iHat", False), ("", False)),
    ],
)
def test_names_that_an_expression_takes(sources, name, fit):
    assert sources.landscape_sources.fit_for_expressions(name) is fit
