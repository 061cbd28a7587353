"""``losslandscape curvature`` and planes of eigenvectors, from the command line."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from losslandscape import Landscape, Subspace
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.formats.curvature_data import read_vectors
from losslandscape.training.weights import load_weights, save_weights

NETS = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3), nn.Tanh(), nn.Linear(3, 3))

def load():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(30, 3, generator=generator), torch.arange(30) % 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "curved_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


OWN = ["--model", "curved_nets:build", "--data", "curved_nets:load"]


def test_from_a_surface_to_the_surface_of_its_eigenvectors(folder, capsys):
    surface = ["surface", *OWN, "--precision", "float64", "--quiet"]
    assert main([*surface, "--grid", "3", "--output", "x.nc"]) == 0
    options = ["--top", "2", "--tolerance", "1e-8", "--density-probes", "2", "--quiet"]
    assert main(["curvature", "x.nc", *OWN, *options]) == 0
    printed = capsys.readouterr().out
    assert "trace" in printed
    assert "share of the first eigenvector" in printed
    report = json.loads((folder / "x_curvature" / "curvature.json").read_text())
    values = [row["eigenvalue"] for row in report["eigenvalues"]]
    assert len(values) == 4
    assert values == sorted(values, reverse=True)
    assert report["precision"] == "float64"
    assert len(report["density"]["density"]) == 501
    eigen = ["--directions", "eigenvectors", "--curvature", "x_curvature"]
    window = ["--grid", "5", "--half-width", "0.002", "--eigenvectors", "extreme"]
    assert main([*surface, *eigen, *window, "--output", "e.nc"]) == 0
    found = Landscape.open("e.nc")
    loss, step = found.values("loss"), 0.001
    across = (loss[2, 1] - 2 * loss[2, 2] + loss[2, 3]) / step**2
    down = (loss[1, 2] - 2 * loss[2, 2] + loss[3, 2]) / step**2
    assert across == pytest.approx(values[0], rel=1e-3)
    assert down == pytest.approx(values[-1], rel=1e-2, abs=1e-3)
    assert np.diag(found.gram_matrix) == pytest.approx([1, 1])
    assert found.provenance["subspace"]["eigenvalues"] == [values[0], values[-1]]
    # the file knows where its directions came from
    again = ["refine", "e.nc", *OWN, "--bounds", "0,0.002,0,0.002", "--quiet"]
    assert main([*again, "--factor", "2", "--output", "r.nc"]) == 0
    (folder / "x_curvature").rename(folder / "moved")
    assert main(["verify", "e.nc", *OWN, "--curvature", "moved", "--quiet"]) == 0


def test_other_weights_and_options_that_do_not_go_together_are_refused(folder, capsys):
    surface = ["surface", *OWN, "--quiet", "--grid", "3"]
    assert main([*surface, "--output", "x.nc"]) == 0
    options = ["--top", "1", "--density-probes", "0", "--quiet"]
    assert main(["curvature", "x.nc", *OWN, *options]) == 0
    import curved_nets

    model = curved_nets.build()
    with torch.no_grad():
        model[0].weight += 0.1
    save_weights(model, "other.safetensors")
    eigen = [*surface, "--directions", "eigenvectors", "--output", "e.nc"]
    capsys.readouterr()
    assert main([*eigen, "--curvature", "x_curvature", "--weights", "other.safetensors"]) == 1
    assert "other parameters" in capsys.readouterr().err
    assert main([*eigen, "--curvature", "x.nc"]) == 1
    assert "cannot be read: a file of 'losslandscape curvature'" in capsys.readouterr().err
    for words, told in [
        (eigen, "--curvature"),
        ([*surface, "--output", "e.nc", "--curvature", "x_curvature"], "only goes with"),
        (["curvature", "x.nc", *options, "--density-steps", "9"], "there is no density"),
    ]:
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 2
        assert told in capsys.readouterr().err


def test_a_curvature_is_read_as_it_was_written(tmp_path):
    from losslandscape import Objective, curvature
    from losslandscape.formats.curvature_data import write_vectors

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    model.eval()
    data = torch.randn(20, 1, 4, 4), torch.randint(3, (20,))
    found = curvature(Objective(model, "cross_entropy", data), top=2, density_probes=2)
    write_vectors(found, tmp_path / "eigenvectors.safetensors")
    again = read_vectors(tmp_path, model)
    assert again.to_json() == found.to_json()
    assert (again.eigenvectors == found.eigenvectors).all()
    plane, other = (Subspace.eigenvectors(one, "extreme") for one in (found, again))
    assert plane.identity == other.identity
    with torch.no_grad():
        model[1].running_mean += 1
    with pytest.raises(LossLandscapeError, match="other buffers"):
        read_vectors(tmp_path, model)
    save_weights(model, tmp_path / "w.safetensors")
    load_weights(model, tmp_path / "w.safetensors")
    with pytest.raises(LossLandscapeError, match="is expected"):
        read_vectors(tmp_path / "w.safetensors", model)
