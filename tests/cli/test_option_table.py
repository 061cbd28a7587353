"""Every option has a range, and the table of options that go together fits the verbs."""

import argparse

import pytest

from losslandscape.cli import _available_verbs, _parser
from losslandscape.cli.kinds import Kind
from losslandscape.cli.option_rules import (
    AsMany,
    Either,
    Is,
    IsGiven,
    Line,
    Matches,
    Number,
    Rule,
    broken_rule,
)
from losslandscape.cli.option_table import RULES
from losslandscape.cli.parser import _name
from losslandscape.errors import LossLandscapeError


def actions():
    """Each verb with each argument that it takes, the help excepted."""
    whole = _parser(_available_verbs())
    verbs = next(a for a in whole._actions if isinstance(a, argparse._SubParsersAction))
    for verb, parser in verbs.choices.items():
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                yield verb, _name(action), action


def test_every_option_that_takes_a_value_has_a_range_or_choices():
    without = [
        (verb, name)
        for verb, name, action in actions()
        if action.nargs != 0 and action.choices is None and not isinstance(action.type, Kind)
    ]
    assert without == []


def refusal(kind, name, text):
    """The message with which a kind refuses a text; None if it takes it."""
    try:
        kind.parse(name, text)
    except LossLandscapeError as error:
        return str(error)
    return None


def test_every_range_says_what_it_takes_and_refuses_in_these_words():
    wrong = ["", " ", "\0", "nan,", "-", "1e999", "x" * 5000, "--"]
    for verb, name, action in actions():
        if isinstance(action.type, Kind):
            kind = action.type.range
            said = [one for text in wrong if (one := refusal(kind, name, text)) is not None]
            assert said, (verb, name)
            for one in said:
                assert one.startswith(f"{name} "), (verb, one)
                assert kind.words[:8] in one.partition(": must be ")[2], (verb, one)


def names_of(condition):
    if isinstance(condition, IsGiven):
        return condition.options
    if isinstance(condition, AsMany):
        return condition.option, condition.other
    if isinstance(condition, Either):
        return [name for one in condition.conditions for name in names_of(one)]
    assert isinstance(condition, (Is, Matches, Number))
    return (condition.option,)


def test_the_table_names_arguments_and_values_that_there_are():
    known = {}
    for verb, name, action in actions():
        known.setdefault(verb, {})[name] = action
    assert set(RULES) == set(known)
    for verb, rules in RULES.items():
        for rule in rules:
            conditions = [one for one in (rule.needs, rule.excludes, rule.when) if one is not None]
            assert (rule.needs is None) != (rule.excludes is None)
            for name in (*rule.options, *(n for one in conditions for n in names_of(one))):
                assert name in known[verb], (verb, name)
            for one in conditions:
                if isinstance(one, Is) and known[verb][one.option].choices is not None:
                    values = set(one.values) - {None}
                    assert values <= set(known[verb][one.option].choices), (verb, one)


@pytest.fixture(scope="module")
def parser():
    return _parser(_available_verbs())


SURFACE = "surface --model m:b --data m:d --output x.nc "
BETWEEN = SURFACE + "--directions between --models a b "
INPUTS = SURFACE + "--directions inputs "
TRAIN = "train --model mlp --output x "
RENDER = "render x.nc --output x.png "


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (SURFACE + "--half-width 1 --bounds -1,1,-1,1", "both set the window"),
        (BETWEEN + "--dimensions 3", "--dimensions 3: 3 given, 1 needed"),
        (BETWEEN + "--seed 3", "--seed 3: only goes with --directions random or inputs"),
        (BETWEEN + "--weights x", "the weights are those of --models"),
        (BETWEEN + "--labels a b c", "--labels a b c: 3 given, 2 needed"),
        (BETWEEN + "--batch-norm fixed", "always re-estimated"),
        (BETWEEN + "--center mean", "--center mean: only goes with --directions pca"),
        (SURFACE + "--directions pca --trajectory r --seed 1", "--seed 1: only goes with"),
        (SURFACE + "--directions pca --trajectory r --move-vectors", "--directions random"),
        (SURFACE + "--directions pca --trajectory r --normalization layer", "--directions random"),
        (SURFACE + "--center origin", "--center origin: only goes with --directions pca"),
        (SURFACE + "--tolerance-scale log", "only goes with --tolerance"),
        (SURFACE + "--max-points 9", "only goes with --tolerance"),
        (SURFACE + "--samples-seed 0", "only goes with --samples"),
        (SURFACE + "--weights-key ema", "only goes with --weights or --models"),
        (SURFACE + "--download", "--data cifar10 or cifar100, but --data is m:d"),
        (SURFACE + "--reestimation-samples 9", "--batch-norm reestimated or --directions between"),
        (SURFACE + "--steps epoch", "only goes with --trajectory"),
        (SURFACE + "--plan --workers 2", "--workers 2: cannot go with --plan"),
        (SURFACE + "--plan --mpi", "--mpi: cannot go with --plan"),
        (INPUTS + "--clip", "--clip: only goes with --valid-range"),
        (INPUTS + "--input-directions gradient --dimensions 2", "2 given, 1 needed"),
        (INPUTS + "--input-directions gradient --seed 2", "--input-directions random or"),
        (INPUTS + "--move-vectors", "--move-vectors: only goes with --directions random"),
        (TRAIN + "--data-root x", "only goes with --data cifar10 or cifar100"),
        (TRAIN + "--no-trajectory --records-per-epoch 2", "cannot go with --no-trajectory"),
        ("topology x.nc --persistence 1 --noise none", "set, not estimated"),
        ("topology x.nc --noise none --seed 1", "--seed 1: cannot go with --noise none"),
        ("topology x.nc --noise standard_error --draws 9", "cannot go with --noise standard_error"),
        ("verify x.nc --significant --noise none", "all points are significant"),
        ("verify x.nc --array test_loss", "the first set of samples alone"),
        ("flatness x.nc --box 1", "--box 1: only goes with --sharpness"),
        ("flatness x.nc --model mlp", "only goes with --sharpness or --parts or --volume"),
        ("flatness x.nc --sharpness --array test_loss", "the loss of the first set"),
        ("compare x.nc", "x.nc: 1 is given; give 2 or more"),
        ("compare x.nc y.nc --labels a", "--labels a: 1 given, 2 needed"),
        ("import x.npy --output x.nc --distance 1", "only goes with --format loss-landscapes"),
        ("import x.npy --output x.nc --format npy --trajectory t", "--format li-h5"),
        (RENDER + "--titles a b c", "--titles a b c: 3 given, 1 needed: one for each file"),
        (RENDER + "--dpi 300", "--dpi 300: only goes with --size; add that"),
        ("render x.nc --output x.html --size 100x100", "but --output x.html was given"),
        (RENDER + "--layout a", "only goes with a state (.pvsm, .png), but x.nc was given"),
        (RENDER + "--trust-file", "only goes with a state"),
        (RENDER + "--persistence 1", "only goes with --figure topology"),
        (RENDER + "--figure surface --levels 3", "--levels 3: only goes with --figure contours"),
        (RENDER + "--figure flatness --no-show-evaluated", "cannot go with --figure flatness"),
        ("render x.pvsm --output x.png --log", "edit it in ParaView"),
        ("render x.pvsm y.nc --output x.png", "2 are given; give one"),
        ("paraview --check x.nc", "it opens nothing"),
        ("paraview --ask-reader", "--ask-reader: only goes with --install"),
        ("paraview x.pvsm --figure surface", "it already has its figure"),
        ("paraview x.nc --trust-file", "only goes with a state"),
        ("info x.nc --json --dataset-samples 9", "cannot go with --json"),
        ("trajectory x.nc run --checkpoints a.pt", "both name the run"),
    ],
)  # fmt: skip
def test_what_would_be_ignored_is_refused(parser, capsys, line, said):
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(line.split())
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        SURFACE + "--seed 0 --normalization filter --move-vectors --dimensions 3",
        SURFACE + "--plan --overwrite --title t --threads 1",
        SURFACE + "--trajectory a b --labels A B --steps epoch",
        SURFACE + "--directions pca --trajectory a --center origin --weights w --weights-key k",
        BETWEEN + "--dimensions 1 --labels a b --weights-key ema --reestimation-samples 9",
        INPUTS + "--seed 3 --clip --valid-range 0,1 --input-directions random gradient",
        TRAIN + "--data cifar10 --download --data-root x --samples 9 --samples-seed 1",
        "topology x.nc --noise bootstrap --draws 9 --seed 1 --confidence 0.9",
        "topology x.nc --noise standard_error --confidence 0.9",
        "flatness x.nc --sharpness --box 1 --precision float64 --device cpu",
        "verify x.nc --array loss",
        RENDER + "--size 85x73mm --dpi 600 --titles one --levels 5",
        RENDER + "--size 850x730 --dpi 96",
        "render x.pvsm --output x.png --layout a --trust-file --size 100x100",
        "render a.nc b.nc --output x.glb --titles a b",
        "paraview --install --ask-reader",
        "paraview",
    ],
)
def test_what_goes_together(parser, line):
    parser.parse_args(line.split())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (SURFACE + "--seed 1 --seed 2", "--seed: is given twice: --seed 1 and --seed 2; give one"),
        (SURFACE + "--see 1 --seed=2", "--seed 1 and --seed 2"),
        (SURFACE + "--bounds 0 1 --bounds 0,2", "--bounds 0,1 and --bounds 0,2"),
        (SURFACE + "--trajectory a --trajectory b", "give all values after one --trajectory"),
        (BETWEEN + "--models a", "--models: is given twice: give all values after one --models"),
        (RENDER + "--log --no-log", "--log: is given twice: give --log or --no-log once"),
    ],
)
def test_an_option_that_is_given_twice_is_refused(parser, capsys, line, said):
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(line.split())
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_repetition_that_changes_nothing_is_taken(parser):
    found = parser.parse_args((SURFACE + "--seed 1 --seed 1 --quiet --quiet").split())
    assert found.seed == 1
    # a second command line begins anew
    assert parser.parse_args((SURFACE + "--seed 2").split()).seed == 2


def test_the_help_says_what_goes_with_what(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["surface", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "(default: origin) [only with --directions pca]" in text
    assert "[not with --bounds]" in text


def test_a_rule_of_values_by_default():
    rule = Rule(("--a",), needs=Is("--b", "x"))
    given = {"--a": parser_given("--a", "1")}
    line = Line(given, {"--b": "y"}, origin="in f.nc")
    said = "--a 1: only goes with --b x, but --b is y in f.nc; leave out --a"
    assert broken_rule([rule], line) == said
    assert broken_rule([rule], Line(given, {"--b": "x"})) is None
    assert broken_rule([rule], Line({}, {"--b": "y"})) is None


def parser_given(name, *words):
    from losslandscape.cli.option_rules import Given

    return Given(name, words)
