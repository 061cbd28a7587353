"""Landscapes that are hard to draw: holes, plateaus and noise."""

import json

import numpy as np
import pytest
from netCDF4 import Dataset

from losslandscape.cli import main

SIDE = 25
HOLES = [(11, 11), (13, 11)]  # above and below the lowest point: no cell around it is whole


def noise():
    """White noise with two holes: hundreds of critical points, the lowest one beside both holes."""
    loss = 1.0 + np.random.default_rng(0).random((SIDE, SIDE))
    loss[12, 11] = 0.5
    for place in HOLES:
        loss[place] = np.nan
    return loss


def bowl():
    """A bowl whose flat region has a hole in it."""
    y, x = np.mgrid[-1:1:5j, -1.2:1.2:7j]
    loss = 0.1 + x**2 + y**2
    loss[1, 3] = np.nan
    return loss


def plateau():
    """A plateau of one value with a well in it."""
    loss = np.full((5, 7), 2.0)
    loss[2, 3] = 0.1
    return loss


def write(path, loss):
    rows, columns = loss.shape
    with Dataset(path, "w") as file:
        file.createDimension("provenance_length", 27)
        for name, size in (("beta", rows), ("alpha", columns)):
            file.createDimension(name, size)
            file.createVariable(name, "f8", (name,))[:] = np.linspace(-1, 1, size)
        file.createVariable("loss", "f8", ("beta", "alpha"))[:] = loss
        said = file.createVariable("provenance", "S1", ("provenance_length",))
        said[:] = np.frombuffer(b'{"format": "losslandscape"}', "S1")
        file.createVariable("status", "i1", ("beta", "alpha"))[:] = np.where(loss > 0, 1, 3)
    return str(path)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, in_paraview):
    folder = tmp_path_factory.mktemp("hard")
    noisy, flat = write(folder / "noise.nc", noise()), write(folder / "bowl.nc", bowl())
    even = write(folder / "plateau.nc", plateau())
    one = write(folder / "one.nc", np.nan_to_num(bowl(), nan=0.35))
    assert main(["topology", noisy, "--noise", "none"]) == 0
    assert main(["topology", one, "--noise", "none"]) == 0
    assert main(["flatness", flat, "--epsilon", "0.5"]) == 0
    jobs = [
        {
            "figure": "topology",
            "inputs": [noisy],
            "options": {"folder": str(folder / "noise_topology"), "diagram": False},
            "save": str(folder / "noise.html"),
        },
        {"figure": "flatness", "inputs": [flat]},
        {"figure": "topology", "inputs": [even], "options": {"diagram": False}},
        {
            "figure": "topology",
            "inputs": [one],
            "options": {"folder": str(folder / "one_topology"), "diagram": False},
        },
    ]
    job = folder / "job.json"
    job.write_text(json.dumps(jobs), encoding="utf-8")
    answers, _done = in_paraview("pipelines.py", job)
    return {
        **dict(zip(("noise", "bowl", "plateau", "one"), answers)),
        "page": folder / "noise.html",
    }


def sources(figure, start):
    return [source for name, source in figure["sources"].items() if name.startswith(start)]


def test_all_critical_points_are_drawn_at_their_loss(drawn):
    figure = drawn["noise"]
    counting, others = (
        sources(figure, f"critical points, {which}lifted")[0] for which in ("", "not significant, ")
    )
    said = figure["report"]["panels"][0]["critical_points"]
    assert counting["points"] + others["points"] == said["points"]
    assert counting["points"] > 300
    assert said["outside"] > 0  # beside holes, where no surface is drawn
    assert counting["arrays"]["height"][0] == pytest.approx(0.5)


def test_separatrices_are_cut_beside_holes_and_it_is_said(drawn):
    figure = drawn["noise"]
    assert sources(figure, "separatrices, lifted")[0]["cells"] > 100
    notes = [words for name, words in figure["words"] if name.startswith("notes")]
    assert ["separatrices are cut beside holes" in words for words in notes] == [True]


def test_a_page_of_hundreds_of_critical_points_is_small(drawn):
    assert drawn["page"].stat().st_size < 4e6


def test_all_of_a_flat_region_with_a_hole_is_drawn(drawn):
    figure = drawn["bowl"]
    (given,), (shown,) = sources(figure, "region of"), sources(figure, "flat region (")
    assert shown["cells"] == given["cells"] > 0


def test_only_the_well_in_a_plateau_is_a_ball_that_counts(drawn):
    figure = drawn["plateau"]
    assert sources(figure, "critical points, lifted")[0]["points"] == 1
    assert sources(figure, "critical points, not significant, lifted")[0]["points"] >= 1


@pytest.mark.parametrize(
    ("name", "kinds"), [("noise", ["minimum", "saddle", "maximum"]), ("one", ["minimum"])]
)
def test_the_legend_has_the_kinds_that_are_drawn(drawn, name, kinds):
    """The model has the color of a saddle."""
    named = {text for text in drawn[name]["texts"] if text.startswith("key: name")}
    assert named - {"key: name (model)"} == {f"key: name ({kind})" for kind in kinds}
