"""The figures of curvature and of trust: what their charts show is what the reports say."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import losslandscape as ll
from losslandscape.analysis.random_lines import Quantity, RandomLines
from losslandscape.formats.report import loss_sha256

PROFILES = 0.5 + np.outer([1.0, 2.0, 3.0, 40.0], np.linspace(-1, 1, 5) ** 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A landscape with a convexity map and a verdict, its reports, and others that do not fit."""
    folder = tmp_path_factory.mktemp("charts")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    objective = ll.Objective(model, "mse", (torch.randn(9, 2), torch.randn(9, 1)))
    plane = ll.Subspace.random(model)
    plain = ll.evaluate(objective, plane, ll.Grid.square(5), quiet=True, path=folder / "plain.nc")
    curved = ll.curvature(objective, 3, subspace=plane)
    lines = RandomLines(
        np.linspace(-1, 1, 5), PROFILES, PROFILES[:2] + 0.25, "filter", 0.1, 0.1, True, 0,
        {name: Quantity(name, np.ones(4), None) for name in ("flat length", "curvature")},
    )  # fmt: skip
    found = replace(ll.trust(plain, objective, plane, curvature=curved), lines=lines)
    mapped = ll.convexity(plain, objective, plane)
    mapped.provenance["trust"] = found.to_json(profiles=False)
    mapped.save(folder / "x_convexity.nc")
    reports = {
        "x_curvature/curvature": curved.to_json(),
        "of_another/curvature": {**curved.to_json(), "loss": curved.loss * 1.1},
        "x_trust/trust": {**found.to_json(), "loss_sha256": loss_sha256(plain)},
        "of_another/trust": {**found.to_json(), "loss_sha256": "0"},
    }
    for name, report in reports.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(report), encoding="utf-8")
    (folder / "empty").mkdir()
    return folder, curved, found


BUILDS = {
    "curvature": ("curvature", "x_convexity.nc", {}),
    "no map": ("curvature", "plain.nc", {}),
    "of another": ("curvature", "x_convexity.nc", {"folder": "of_another"}),
    "empty": ("curvature", "x_convexity.nc", {"folder": "empty"}),
    "trust": ("trust", "x_convexity.nc", {}),
    "trust of another": ("trust", "x_convexity.nc", {"folder": "of_another"}),
    "not judged": ("trust", "plain.nc", {}),
}


@pytest.fixture(scope="module")
def built(files, in_paraview):
    folder = files[0]
    builds = [
        {
            "figure": figure,
            "inputs": [str(folder / name)],
            "options": {key: str(folder / value) for key, value in options.items()},
        }
        for figure, name, options in BUILDS.values()
    ]
    (folder / "job.json").write_text(json.dumps(builds), encoding="utf-8")
    answers, _done = in_paraview("charts.py", folder / "job.json")
    return dict(zip(BUILDS, answers))


def axis(figure, chart, which):
    """From a place in a chart's view to the value there, by the numbers at its axis."""
    start = f"{chart} axes: {which} "
    numbers, places = [], []
    for name, (words, x, y, size, _end) in figure["words"].items():
        if name.startswith(start) and not name.startswith(f"{start}title"):
            share = words.endswith("%")
            numbers.append(float(words.rstrip("%")) / (100 if share else 1))
            # of the middle: words across end there, as they are written
            places.append(x - 0.235 * size * len(words) if which == "x" else y + 0.45 * size)
    numbers, places = np.array(numbers), np.array(places)
    log = "log" in "".join(
        words for name, (words, *_rest) in figure["words"].items()
        if name.startswith(f"{start}title")
    ) or ((numbers > 0).all() and numbers.max() >= 10 * numbers.min())  # fmt: skip
    heights = np.log10(numbers) if log else numbers
    slope, foot = np.polyfit(places, heights, 1)
    return lambda place: 10.0 ** (slope * place + foot) if log else slope * place + foot


def shape(figure, name):
    """The points of one drawn thing, whose name starts so."""
    (found,) = (points for key, points in figure["shapes"].items() if key.startswith(name))
    return np.array(found)


def test_bars_are_the_eigenvalues_and_the_curve_is_the_density(built, files):
    figure, curved = built["curvature"], files[1]
    upwards = axis(figure, "eigenvalues", "y")
    middles = middles_of_bars(figure, curved)
    for name, sign in (("positive", 1), ("negative", -1)):
        bars = shape(figure, f"eigenvalues: {name}")
        for number in np.flatnonzero(np.sign(curved.eigenvalues) == sign):
            near = np.abs(bars[:, 0] - middles[number]) < 0.45 * (middles[1] - middles[0])
            ends = upwards(bars[near, 1])
            wanted = sorted([0.0, curved.eigenvalues[number]])
            assert [ends.min(), ends.max()] == pytest.approx(wanted, abs=0.06)
    density = curved.density()
    curve = shape(figure, "spectral density: curve")
    upwards = axis(figure, "spectral density", "y")
    assert upwards(curve[:, 1].max()) == pytest.approx(density.density.max(), rel=0.05)
    assert {"eigenvalues", "spectral density", "surface", "axes"} <= set(figure["layers"])
    words = figure["report"]["caption"]
    assert "Bars: the 3 largest and 3 smallest eigenvalues of the Hessian" in words


def middles_of_bars(figure, curved):
    """Where the bars' middles are across the view, by the labels of the first and the last."""
    labels = {
        words: x - 0.235 * size * len(words)
        for name, (words, x, _y, size, _end) in figure["words"].items()
        if name.startswith("eigenvalues axes: x ") and "title" not in name
    }
    return np.linspace(labels["1"], labels[str(curved.parameters)], len(curved.eigenvalues))


def test_the_map_colours_the_surface_and_is_reported(built):
    left, right = built["curvature"]["report"]["panels"]
    assert (left["title"], right["title"]) == ("x_convexity", "convexity map")
    assert right["convexity"]["greatest"] >= right["convexity"]["median"] > 0


def test_band_and_profiles_are_those_of_the_directions(built, files):
    figure, lines = built["trust"], files[2].lines
    upwards = axis(figure, "random directions", "y")
    low, _middle, high = lines.band()
    band = shape(figure, "random directions: band")
    assert upwards(band[:, 1].max()) == pytest.approx(high.max(), rel=0.02)
    assert upwards(band[:, 1].min()) == pytest.approx(low.min(), rel=0.02)
    single = shape(figure, "random directions: profiles")
    assert upwards(single[:, 1].max()) == pytest.approx(PROFILES.max(), rel=0.02)
    own = shape(figure, "random directions: this plane, beta")
    assert upwards(own[:, 1].max()) == pytest.approx(PROFILES[1].max() + 0.25, abs=0.3)


def test_shares_are_beside_those_of_chance_and_the_verdict_is_written(built, files):
    figure, found = built["trust"], files[2]
    across = axis(figure, "shares", "x")
    dots = shape(figure, "shares: this plane")
    values = [
        found.curvature.top.value,
        found.curvature.trace.value,
        found.curvature.gradient.value,
    ]
    for value in (value for value in values if value > 0):  # on a log scale
        assert np.abs(across(dots[:, 0]) / value - 1).min() < 0.02
    chance = shape(figure, "shares: of chance")
    assert across(chance[:, 0].max()) <= 1.02
    assert figure["report"]["panels"][0]["verdict"] == list(found.verdict)
    assert "sentences" in figure["layers"]


@pytest.mark.parametrize("name", ["curvature", "trust"])
def test_words_stay_within_their_view(built, name):
    figure = built[name]
    width = min(size[0] for size in figure["sizes"])
    height = figure["sizes"][0][1]
    for what, (words, x, y, size, end) in figure["words"].items():
        long = 0.47 * size * len(words)
        left = x - long if end else x
        assert left > -1, what
        assert left + long < width + 1, what
        assert -1 < y < height - 0.8 * size, what


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no map", "has no convexity map; `losslandscape convexity FILE.nc"),
        ("of another", "belongs to another network or other samples"),
        ("empty", "there is no curvature.json; `losslandscape curvature"),
        ("trust of another", "belongs to another landscape than"),
        ("not judged", "`losslandscape trust FILE.nc --hessian --spread` measures it"),
    ],
)
def test_errors_say_what_is_wrong(built, name, words):
    assert words in built[name]["error"]
