"""``losslandscape trust``: from the file alone, with the model, and what it leaves in the file."""

import json
import shutil

import numpy as np
import pytest

from losslandscape import Landscape
from losslandscape.cli import main


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A plane of principal components of a short run, and the folder that it is in."""
    folder = tmp_path_factory.mktemp("trust")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train = [
            "train",
            "--model",
            "mlp",
            "--data",
            "digits8",
            "--samples",
            "100",
            "--epochs",
            "3",
        ]
        assert main([*train, "--output", "run", "--quiet"]) == 0
        surface = [
            "surface",
            "--model",
            "mlp",
            "--data",
            "digits8",
            "--samples",
            "50",
            "--grid",
            "5",
        ]
        pca = ["--weights", "run", "--directions", "pca", "--trajectory", "run/trajectory"]
        assert main([*surface, *pca, "--output", "a.nc", "--quiet"]) == 0
    return folder


@pytest.fixture
def place(measured, tmp_path, monkeypatch):
    shutil.copytree(measured, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def test_the_file_alone(place, capsys):
    before = Landscape.open("a.nc")
    assert main(["trust", "a.nc"]) == 0
    printed = capsys.readouterr().out
    report = json.loads((place / "a_trust" / "trust.json").read_text())
    for sentence in report["verdict"]:
        assert f"  {sentence}\n" in printed
    after = Landscape.open("a.nc")
    assert after.provenance["trust"]["verdict"] == report["verdict"]
    assert after.provenance["trust"]["command"] == "losslandscape trust a.nc"
    np.testing.assert_array_equal(after.values("loss"), before.values("loss"))
    assert {k: v for k, v in after.provenance.items() if k != "trust"} == before.provenance
    assert main(["info", "a.nc"]) == 0
    assert f"  trust       {report['verdict'][0]}\n" in capsys.readouterr().out
    for check in report["checks"]:
        assert check["passed"] is not False or check["remedy"] in printed


def test_a_second_time_needs_overwrite(place, capsys):
    assert main(["trust", "a.nc"]) == 0
    content = (place / "a.nc").read_bytes()
    assert main(["trust", "a.nc"]) == 1
    assert "already exists" in capsys.readouterr().err
    assert (place / "a.nc").read_bytes() == content
    assert main(["trust", "a.nc", "--overwrite"]) == 0


def test_checkpoints_and_random_directions(place, capsys):
    verb = ["trust", "a.nc", "--path", "--hessian", "--top", "1"]
    verb += ["--spread", "--most-directions", "3", "--quiet"]
    assert main(verb) == 0
    printed = capsys.readouterr().out
    report = json.loads((place / "a_trust" / "trust.json").read_text())
    (path,) = report["trajectories"]
    assert path["fitted"]
    assert 0 < path["length"] <= 1
    plane = Landscape.open("a.nc").provenance["subspace"]
    assert path["variance"] == pytest.approx(sum(plane["explained_variance"]), rel=1e-5)
    lines = report["random_directions"]
    assert np.array(lines["profiles"]).shape == (3, 21)
    kept = Landscape.open("a.nc").provenance["trust"]["random_directions"]
    assert "profiles" not in kept
    assert kept["band"] == lines["band"]
    assert "along random directions" in printed
    curved = report["curvature"]
    assert len(curved["eigenvalues"]) == 1
    assert 0 <= curved["top"]["value"] <= 1
    assert "squared gradient" in printed
    for name in ("flat length", "lowest loss", "curvature", "roughness"):
        assert name in printed
