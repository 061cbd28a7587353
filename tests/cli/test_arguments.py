"""Values that begin with a minus, and what the parser keeps and refuses."""

import pytest

from losslandscape.cli import _available_verbs, _parser

SURFACE = ["surface", "--model", "m:b", "--output", "x.nc"]


@pytest.fixture(scope="module")
def parser():
    return _parser(_available_verbs())


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("-1,1,-1,1", [(-1, 1), (-1, 1)]),
        ("-1e-3,0.1", [(-1e-3, 0.1)]),
        ("-.5,+2E+3,-1.,1", [(-0.5, 2000), (-1, 1)]),
    ],
)
def test_values_that_begin_with_a_minus(parser, text, bounds):
    assert parser.parse_args([*SURFACE, "--bounds", text]).bounds == bounds
    assert parser.parse_args([*SURFACE, "--bounds", *text.split(",")]).bounds == bounds
    assert parser.parse_args([*SURFACE, f"--bounds={text}"]).bounds == bounds
    imported = ["import", "a.npy", "--bound", *text.split(","), "--output", "x.nc"]
    assert parser.parse_args(imported).bounds == bounds


@pytest.mark.parametrize(
    "text", ["-1", "-1,nonsense", "-inf,1", "1,1", "2,-1", "-1,1,nan,3", "0,,1"]
)
def test_bounds_that_are_none(parser, text, capsys):
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args([*SURFACE, "--bounds", text])
    assert stopped.value.code == 2
    assert f"--bounds {text}: must be two finite numbers, the lower" in capsys.readouterr().err


def test_several_words_and_options_after_them(parser):
    words = ["refine", "x.nc", "--bounds", "-1e-3,0", "-1", "2", "--output", "y.nc"]
    arguments = parser.parse_args(words)
    assert arguments.bounds == [(-1e-3, 0), (-1, 2)]
    assert str(arguments.output) == "y.nc"


def test_what_was_given_is_told_from_defaults(parser):
    arguments = parser.parse_args([*SURFACE, "--see", "0", "--quiet"])
    assert set(arguments.line.given) == {"--model", "--output", "--seed", "--quiet"}
    assert str(arguments.line.given["--seed"]) == "--seed 0"
    assert arguments.line.values["--dimensions"] == 2
    again = parser.parse_args(["info", "x.nc"]).line  # nothing is left of the line before
    assert set(again.given) == {"FILE.nc"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["surface"], "surface: --model: must be given"),
        (["surface", "--model"], "surface: --model: a value is missing after it"),
        (["surface", "--model", ""], "surface: --model '': must be text of at least one"),
        (["surface", "--mo", "mlp"], "surface: --mo: could be --model, --model-output, --modes"),
        (["surface", "--model", "mlp", "--hight", "3"], "--hight: there is no such option"),
        (["surface", "--model", "mlp", "--gird", "3"], "option; did you mean --grid?"),
        (["info", "a.nc", "b.nc"], "info: b.nc: is one argument too many"),
        (["info", "a.nc", "--json=1"], "info: --json: takes no value, but '1' was given"),
        (["rendr", "a.nc"], "rendr: must be one of train, surface, "),
        (["rendr", "a.nc"], "(did you mean 'render'?)"),
        (["info", "\udcff.nc"], r"'\udcff.nc': is not UTF-8 text"),
        (
            ["info", "x" * 256],
            ": must be the name of a file or folder, each at most 255 bytes long",
        ),
        (
            ["flatness", "a.nc", "--epsilon", "1", "--factor", "2"],
            "--factor: cannot go with --epsilon; give one of them",
        ),
    ],
)
def test_one_sentence(parser, words, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(words)
    found = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said in found
    assert "usage:" not in found
    assert len(found.splitlines()) == 2
