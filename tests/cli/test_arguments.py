"""Values that begin with a minus."""

import pytest

from losslandscape.cli import _available_verbs, _parser

SURFACE = ["surface", "--model", "m:b", "--output", "x.nc"]


@pytest.mark.parametrize(
    "text", ["-1,1,-1,1", "-1e-3,0.1", "-.5,+2E+3,-1.", "-1", "-2.5e1", "-1,nonsense"]
)
def test_values_that_begin_with_a_minus(text, capsys):
    parser = _parser(_available_verbs())
    if "nonsense" in text:
        with pytest.raises(SystemExit):
            parser.parse_args([*SURFACE, "--bounds", text])
        assert "expected one argument" in capsys.readouterr().err
        return
    assert parser.parse_args([*SURFACE, "--bounds", text]).bounds == text
    assert parser.parse_args([*SURFACE, f"--bounds={text}"]).bounds == text
    imported = ["import", "a.npy", "--bounds", text, "--output", "x.nc"]
    assert parser.parse_args(imported).bounds == text


def test_several_words_and_options_after_them():
    words = ["refine", "x.nc", "--bounds", "-1e-3,0", "-1", "2", "--output", "y.nc"]
    arguments = _parser(_available_verbs()).parse_args(words)
    assert arguments.bounds == ["-1e-3,0", "-1", "2"]
    assert str(arguments.output) == "y.nc"
