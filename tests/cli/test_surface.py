import json
import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from losslandscape import Landscape, Trajectory, TrajectoryRecorder
from losslandscape.cli import main
from losslandscape.cli.trajectories import recorded_trajectory
from losslandscape.study.networks import build_network
from losslandscape.training.weights import save_weights

FAST = ["--data", "digits8", "--samples", "40", "--batch-size", "40", "--quiet"]


@pytest.fixture
def run_folder(tmp_path):
    """Weights and a short trajectory of the multilayer perceptron."""
    torch.manual_seed(0)
    model = build_network("mlp", (1, 8, 8), 10)
    with TrajectoryRecorder(model, tmp_path / "trajectory") as recorder:
        for step in range(4):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.01 * torch.randn_like(parameter))
            recorder.record(step)
    save_weights(model, tmp_path / "weights.safetensors")
    return tmp_path


def status_of(words):
    """The exit status of a command line; of one that cannot be parsed, the parser's."""
    try:
        return main(words)
    except SystemExit as stopped:
        return stopped.code


def surface(run_folder, *options, output="x.nc", model="mlp"):
    weights = ["--weights", str(run_folder / "weights.safetensors")]
    return status_of(
        ["surface", "--model", model, *(weights if "between" not in options else []), *FAST,
         "--output", str(run_folder / output), *options]
    )  # fmt: skip


def test_surface_trajectory_export_info(run_folder, capsys):
    assert surface(run_folder, "--grid", "5x4", "--bounds=-1,1,-0.5,0.5", "--test") == 0
    path = run_folder / "x.nc"
    assert main(["trajectory", str(path), str(run_folder / "trajectory"), "--quiet"]) == 0
    assert main(["export", str(path), "--output", str(run_folder / "out")]) == 0
    assert main(["info", str(path)]) == 0
    landscape = Landscape.open(path)
    assert landscape.grid.counts == (5, 4)
    assert landscape.grid.bounds == ((-1, 1), (-0.5, 0.5))
    assert "test_accuracy" in landscape.fields
    assert len(landscape.trajectories[0].step) == 4
    # the trajectory ends at the weights, the origin of the plane
    np.testing.assert_allclose(landscape.trajectories[0].coordinates[-1], 0, atol=1e-6)
    assert landscape.provenance["command"].startswith("losslandscape surface")
    printed = capsys.readouterr().out
    assert "5 x 4 points" in printed
    assert "trajectory.vtp" in printed


def test_pca_plane_carries_its_trajectory(run_folder):
    options = ("--directions", "pca", "--trajectory", str(run_folder / "trajectory"), "--grid", "4")
    assert surface(run_folder, *options) == 0
    landscape = Landscape.open(run_folder / "x.nc")
    assert len(landscape.trajectories) == 1
    assert sum(landscape.provenance["subspace"]["explained_variance"]) <= 1


def test_plane_between_models(run_folder):
    files = []
    for seed in (1, 2, 3):
        torch.manual_seed(seed)
        files.append(str(run_folder / f"{seed}.safetensors"))
        save_weights(build_network("mlp", (1, 8, 8), 10), files[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the command line asks for re-estimation by itself
        assert (
            surface(run_folder, "--directions", "between", "--models", *files, "--grid", "3") == 0
        )
    assert [m.label for m in Landscape.open(run_folder / "x.nc").models] == ["1", "2", "3"]


def test_the_key_of_a_checkpoint_is_kept(run_folder, capsys):
    model, ema = (build_network("mlp", (1, 8, 8), 10) for _ in range(2))
    file = run_folder / "both.pt"
    torch.save({"model": model.state_dict(), "ema": ema.state_dict()}, file)
    torch.save(ema.state_dict(), run_folder / "ema.pt")
    plane = ["--dimensions", "1", "--grid", "3", "--output"]
    start = ["surface", "--model", "mlp", *FAST, "--weights"]
    assert main([*start, str(file), *plane, str(run_folder / "a.nc")]) == 1
    assert "'model', 'ema'" in capsys.readouterr().err
    told = ["--weights-key", "ema"]
    assert main([*start, str(file), *told, *plane, str(run_folder / "a.nc")]) == 0
    assert main([*start, str(run_folder / "ema.pt"), *plane, str(run_folder / "b.nc")]) == 0
    a, b = (Landscape.open(run_folder / f"{name}.nc") for name in "ab")
    assert a.values("loss").tolist() == b.values("loss").tolist()
    assert a.provenance["arguments"]["weights_key"] == "ema"
    assert "weights_key" not in b.provenance["arguments"]
    # later verbs find the same weights
    command = ["flatness", str(run_folder / "a.nc"), "--sharpness", "--quiet"]
    assert main([*command, "--output", str(run_folder / "flat.json")]) == 0


def test_users_own_code(run_folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine_for_surface.py").write_text(
        "import torch\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    return torch.nn.Linear(3, 1)\n"
        "def load():\n"
        "    return torch.ones(8, 3), torch.zeros(8, 1)\n"
        "def loss(model, batch):\n"
        "    return (model(batch[0]) - batch[1]).abs()[:, 0]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = str(tmp_path / "own.nc")
    arguments = [
        f"--{name}=mine_for_surface:{f}"
        for name, f in (("model", "build"), ("data", "load"), ("loss", "loss"))
    ]
    assert main(["surface", *arguments, "--grid", "3", "--output", path, "--quiet"]) == 0
    # a file does not choose what code runs
    with TrajectoryRecorder(torch.nn.Linear(3, 1), tmp_path / "t") as recorder:
        recorder.record(0)
    again = ["trajectory", path, str(tmp_path / "t"), "--quiet"]
    assert main(again) == 1
    assert (
        "to allow it to run, name it again: --model mine_for_surface:build"
        in capsys.readouterr().err
    )
    assert main([*again, *arguments]) == 0
    sys.modules.pop("mine_for_surface", None)


def test_data_outputs_and_losses_of_any_kind(tmp_path, monkeypatch, capsys):
    (tmp_path / "any_kind.py").write_text(
        "import torch\n"
        "from torch.nn import functional\n"
        "class Two(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        torch.manual_seed(0)\n"
        "        self.net = torch.nn.Linear(3, 2)\n"
        "    def forward(self, x, labels=None):\n"
        "        out = self.net(x)\n"
        "        loss = None if labels is None else functional.cross_entropy(out, labels)\n"
        "        return {'out': out, 'logits': out, 'loss': loss}\n"
        "def build():\n"
        "    return Two()\n"
        "def load(split='train'):\n"
        "    torch.manual_seed(1)\n"
        "    return [{'x': torch.randn(3).tolist(), 'labels': i % 2} for i in range(12)]\n"
        "def loss(outputs, targets):\n"
        "    return functional.cross_entropy(outputs, targets)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    start = ["surface", "--model=any_kind:build", "--data=any_kind:load", "--grid", "3", "--quiet"]
    ways = {
        "named": ["--model-output", "out"],
        "function": ["--model-output", "out", "--loss", "any_kind:loss"],
        "own": ["--loss", "own", "--test"],
    }
    losses = {}
    for name, options in ways.items():
        path = tmp_path / f"{name}.nc"
        assert main([*start, *options, "--output", str(path)]) == 0
        losses[name] = Landscape.open(path).values("loss")
        assert main(["info", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "of N = 12" in printed
    assert "the model's own: cross-entropy" in printed
    assert "called with (outputs, targets), found by trial" not in printed
    assert "one sample at a time" in printed
    np.testing.assert_allclose(losses["named"], losses["own"], rtol=1e-6)
    np.testing.assert_allclose(losses["named"], losses["function"], rtol=1e-6)
    assert main([*start, "--samples", "4", "--output", str(tmp_path / "no.nc")]) == 1
    assert "any_kind:load returned a list; choose the samples" in capsys.readouterr().err
    sys.modules.pop("any_kind", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--grid", "4x4x4"), "has 3 axes, but there are 2 directions"),
        (("--bounds=1,2",), "4 are needed"),
        (("--directions", "pca", "--trajectory", "nowhere"), "nowhere: no such folder"),
        (("--plan", "--tolerance", "0.01", "--max-points", "2"), "max_points is 2; the coarse"),
        (("--tolerance", "0.01", "--max-points", "2"), "max_points is 2; the coarse grid"),
        (("--loss", "hinge"), "'hinge' is not one of"),
        (("--weights",), "weights.safetensors: no such file"),  # of the folder
        (("--device", "cuda:99"), "--device cuda:99"),
    ],
)
def test_mistakes_have_a_message_and_leave_nothing(run_folder, capsys, options, message):
    if "--weights" in options:
        (run_folder / "weights.safetensors").unlink()
        options = ()
    grid = () if "--grid" in options else ("--grid", "3")
    assert surface(run_folder, *grid, *options) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(run_folder.glob("x.nc*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--grid", "0"), "--grid 0: must be a whole number from 2 to"),
        (("--grid", "many"), "--grid many: must be a whole number from 2 to"),
        (("--directions", "pca"), "--directions pca: only goes with --trajectory"),
        (("--directions", "between"), "--directions between: only goes with --models"),
        (("--directions", "between", "--models", "a"), "--models a: 1 is given; give 2 or 3"),
        (("--models", "a", "b"), "--directions between, but --directions is random by default"),
        (("--labels", "a", "b"), "--labels a b: only goes with --trajectory or --models"),
    ],
)
def test_mistakes_that_the_words_show(run_folder, capsys, options, message):
    before = sorted(run_folder.iterdir())
    assert surface(run_folder, *options) == 2
    assert message in capsys.readouterr().err
    assert sorted(run_folder.iterdir()) == before


def test_a_model_without_a_colon_is_told_about_first(tmp_path, monkeypatch, capsys):
    """Before anything is said of data that only the study's networks need so."""
    (tmp_path / "mine_flat.py").write_text(
        "import torch\ndef load():\n    return torch.zeros(4, 3), torch.zeros(4, 1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    command = ["surface", "--model", "own", "--data", "mine_flat:load", "--quiet"]
    assert main([*command, "--output", str(tmp_path / "x.nc")]) == 1
    error = capsys.readouterr().err
    assert "no network is called 'own'" in error
    assert "your own as package.module:function" in error


def test_weights_of_another_model_name_the_first_tensor(run_folder, capsys):
    assert surface(run_folder, "--grid", "3", model="small_resnet") == 1
    assert "weights.safetensors" in capsys.readouterr().err


def test_output_names(run_folder, capsys):
    assert surface(run_folder, "--grid", "3", output="x.png") == 1
    assert "must end in .nc" in capsys.readouterr().err
    assert surface(run_folder, "--grid", "3") == 0
    assert surface(run_folder, "--grid", "3") == 1
    assert "--overwrite" in capsys.readouterr().err


def test_other_weights_on_an_existing_landscape_are_refused(run_folder, capsys):
    assert surface(run_folder, "--grid", "3") == 0
    torch.manual_seed(5)
    save_weights(
        build_network("mlp", (1, 8, 8), 10),
        run_folder / "weights.safetensors",
    )
    arguments = ["trajectory", str(run_folder / "x.nc"), str(run_folder / "trajectory"), "--quiet"]
    assert main(arguments) == 1
    assert "what differs: the model's parameters (other weights?)" in capsys.readouterr().err


def test_workers_share_the_points(run_folder):
    assert surface(run_folder, "--grid", "3", "--workers", "2") == 0
    assert Landscape.open(run_folder / "x.nc").finished


def test_render_needs_the_right_number_of_landscapes(run_folder, capsys):
    (run_folder / "a.nc").touch()
    arguments = ["render", str(run_folder / "a.nc"), "--figure", "compare", "--output", "a.png"]
    assert main(arguments) == 1
    assert "--figure compare takes 2 landscapes, not 1" in capsys.readouterr().err
    assert status_of([*arguments[:2], "--size", "0x3", "--output", "a.png"]) == 2
    assert "--size 0x3: must be width x height, in pixels from 1 to" in capsys.readouterr().err


def test_a_plan_needs_no_output_and_a_run_does(capsys):
    command = ["surface", "--model", "mlp", "--data", "digits8", "--samples", "20", "--grid", "3"]
    assert main([*command, "--plan", "--quiet"]) == 0
    assert "points" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main([*command, "--quiet"])
    assert ended.value.code == 2
    assert "--output: must be given" in capsys.readouterr().err


def test_the_folder_of_a_training_run_stands_for_its_trajectory(run_folder):
    for given in (run_folder, run_folder / "trajectory"):
        assert Path(recorded_trajectory(str(given)).path) == run_folder / "trajectory"


def test_trajectory_of_checkpoints_on_disk(run_folder, capsys):
    """The same as the recorded one, whose checkpoints are copied into files of torch.save."""
    recorded = Trajectory.open(run_folder / "trajectory")
    for index, epoch in enumerate((2, 9, 10, 11)):
        state = {**recorded.parameters(index), **recorded.buffers(index)}
        content = {"model": state, "ema": recorded.parameters(0), "optimizer": {"step": epoch}}
        torch.save(content, run_folder / f"epoch_{epoch}.pt")
    assert surface(run_folder, "--grid", "3") == 0
    path, pattern = str(run_folder / "x.nc"), str(run_folder / "epoch_*.pt")
    verb = ["trajectory", path, "--quiet"]
    assert main([*verb, str(run_folder / "trajectory"), "--label", "recorded"]) == 0
    assert main([*verb, "--checkpoints", pattern]) == 1
    assert "several state dicts, 'model', 'ema'" in capsys.readouterr().err
    options = ("--checkpoints-key", "model", "--label", "saved")
    assert main([*verb, "--checkpoints", pattern, *options]) == 0
    assert "4 checkpoints, steps 2 to 11 (the number after 'epoch'" in capsys.readouterr().err
    one, other = Landscape.open(path).trajectories
    assert (one.label, other.label) == ("recorded", "saved")
    assert other.step.tolist() == [2, 9, 10, 11]
    for name in ("coordinates", "loss", "checkpoint_loss", "distance_to_plane"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    # a shell may expand the pattern
    files = [str(file) for file in run_folder.glob("epoch_*.pt")]
    options = ("--checkpoints-key", "model", "--label", "files", "--steps", "name")
    assert main([*verb, "--checkpoints", *files, *options]) == 0
    again = Landscape.open(path).trajectories[2]
    np.testing.assert_array_equal(again.checkpoint_loss, one.checkpoint_loss)
    assert main([*verb, str(run_folder / "trajectory"), *options]) == 1
    assert "is a recorded trajectory" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(verb)
    assert "FOLDER: must be given" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*verb, str(run_folder / "trajectory"), "--checkpoints", pattern])
    assert ": cannot go with --checkpoints" in capsys.readouterr().err


def test_a_warning_is_one_plain_line_printed_once(run_folder, capsys, monkeypatch):
    recorded = Trajectory.open(run_folder / "trajectory")
    state = {f"net.{n}": v for n, v in recorded.parameters(-1).items()}
    torch.save(state, run_folder / "prefixed.pt")
    command = ["surface", "--model", "mlp", "--weights", str(run_folder / "prefixed.pt"), *FAST,
               "--grid", "3", "--output", str(run_folder / "w.nc")]  # fmt: skip
    built = import_module("losslandscape.cli.surface").build_problem

    def twice(arguments):
        built(arguments)
        return built(arguments)

    monkeypatch.setattr("losslandscape.cli.surface.build_problem", twice)
    before = warnings.formatwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # pytest collects warnings; this shows them as Python does
        monkeypatch.setattr(
            warnings,
            "showwarning",
            lambda *given: sys.stderr.write(warnings.formatwarning(*given[:4])),
        )
        assert main(command) == 0
    assert warnings.formatwarning is before
    lines = [line for line in capsys.readouterr().err.splitlines() if "net." in line]
    assert len(lines) == 1
    assert lines[0].startswith("losslandscape: warning: ")


def second_run(run_folder, name="adam"):
    """Another run from the same start, of another length."""
    torch.manual_seed(0)
    model = build_network("mlp", (1, 8, 8), 10)
    torch.manual_seed(7)
    with TrajectoryRecorder(model, run_folder / name / "trajectory") as recorder:
        for step in range(6):
            recorder.record(step)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.01 * torch.randn_like(parameter))
    return str(run_folder / name / "trajectory")


def test_several_runs_on_one_surface(run_folder, capsys):
    first, second = str(run_folder / "trajectory"), second_run(run_folder)
    options = ("--directions", "pca", "--trajectory", first, second, "--grid", "4")
    assert surface(run_folder, *options, "--labels", "SGD", "Adam") == 0
    path = run_folder / "x.nc"
    landscape = Landscape.open(path)
    assert [len(one.step) for one in landscape.trajectories] == [4, 6]
    assert [one.label for one in landscape.trajectories] == ["SGD", "Adam"]
    np.testing.assert_allclose(landscape.trajectories[0].coordinates[-1], 0, atol=1e-6)
    runs = landscape.provenance["subspace"]["runs"]
    assert [run["label"] for run in runs] == ["SGD", "Adam"]
    for run, one in zip(runs, landscape.trajectories):
        assert run["largest_distance"] == pytest.approx(one.distance_to_plane.max())
        assert 0 < sum(run["explained_variance"]) <= 1 + 1e-9
    capsys.readouterr()
    assert main(["info", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "trajectory 'Adam': 6 checkpoints" in printed
    assert "of its variance" in printed
    # the file is enough to measure again
    refined = run_folder / "finer.nc"
    refine = ["refine", str(path), "--bounds=-0.1,0.1,-0.1,0.1", "--grid", "3", "--quiet"]
    assert main([*refine, "--output", str(refined)]) == 0, capsys.readouterr().err
    assert len(Landscape.open(refined).trajectories) == 2
    again = ["trajectory", str(path), second, "--label", "again", "--quiet"]
    assert main(again) == 0
    added = Landscape.open(path).trajectories[2]
    np.testing.assert_array_equal(added.loss, landscape.trajectories[1].loss)


def test_several_runs_that_are_refused(run_folder, capsys):
    first, second = str(run_folder / "trajectory"), second_run(run_folder)
    plane = ("--directions", "pca", "--grid", "3", "--trajectory")
    assert surface(run_folder, *plane, first, second, "--labels", "SGD") == 1
    assert "1 --labels were given for 2 runs" in capsys.readouterr().err
    assert surface(run_folder, *plane, first, second, "--labels", "SGD", "SGD") == 1
    assert "two --labels are the same" in capsys.readouterr().err
    assert surface(run_folder, *plane, first, first) == 1
    assert "both runs have the label" in capsys.readouterr().err
    assert surface(run_folder, *plane, first, str(run_folder / "nothing")) == 1
    assert "nothing: no such folder" in capsys.readouterr().err
    assert surface(run_folder, "--labels", "SGD") == 2
    assert "--labels SGD: only goes with --trajectory or --models" in capsys.readouterr().err
    assert not (run_folder / "x.nc").exists()


def test_a_run_of_checkpoints_beside_a_recorded_one(run_folder, capsys):
    recorded, second = Trajectory.open(run_folder / "trajectory"), second_run(run_folder)
    folder = run_folder / "saved"
    folder.mkdir()
    for index in range(4):
        torch.save(recorded.parameters(index), folder / f"epoch_{index + 8}.pt")
    pattern = str(folder / "epoch_*.pt")
    options = ("--directions", "pca", "--grid", "3", "--trajectory", pattern, second)
    assert surface(run_folder, *options) == 0
    assert "steps 8 to 11" in capsys.readouterr().err
    found = Landscape.open(run_folder / "x.nc").trajectories
    assert [one.label for one in found] == ["saved", "adam"]
    files = sorted(str(file) for file in folder.glob("*.pt"))  # as a shell expands the pattern
    options = ("--directions", "pca", "--grid", "3", "--trajectory", *files)
    assert surface(run_folder, *options, output="y.nc") == 0
    (one,) = Landscape.open(run_folder / "y.nc").trajectories
    assert one.step.tolist() == [8, 9, 10, 11]
    finer = str(run_folder / "finer.nc")
    refine = ["refine", str(run_folder / "y.nc"), "--bounds=-0.1,0.1,-0.1,0.1", "--grid", "3"]
    assert main([*refine, "--quiet", "--output", finer]) == 0, capsys.readouterr().err


def test_a_part_of_the_network_is_recorded_and_refined(run_folder, capsys):
    assert surface(run_folder, "--grid", "3", "--parameters", "0.*", "2") == 1
    assert "near are" in capsys.readouterr().err
    assert surface(run_folder, "--grid", "3", "--parameters", "3") == 0
    landscape = Landscape.open(run_folder / "x.nc")
    assert landscape.provenance["subspace"]["parameters"] == ["3"]
    assert landscape.provenance["arguments"]["parameters"] == ["3"]
    box = ["--bounds", "0", "0.5", "0", "0.5", "--output", str(run_folder / "y.nc"), "--quiet"]
    assert main(["refine", str(run_folder / "x.nc"), *box]) == 0
    capsys.readouterr()
    assert main(["info", str(run_folder / "x.nc")]) == 0
    assert "parameters: 3, parameters moved:" in capsys.readouterr().out


def test_inputs_of_some_samples_move(run_folder, capsys):
    options = ["surface", "--model", "mlp", "--weights", str(run_folder / "weights.safetensors"),
               "--data", "digits8", "--directions", "inputs", "--valid-range=-1,2", "--clip",
               "--quiet", "--grid", "3", "--output"]  # fmt: skip
    path = run_folder / "in.nc"
    assert main([*options, str(path), "--sample-numbers", "3,17,5"]) == 0
    found = Landscape.open(path)
    plane = found.provenance["subspace"]
    assert (plane["kind"], plane["samples"], plane["clipped"]) == ("inputs", 3, True)
    assert "dataset_samples" not in found.provenance["objective"]["sets"]["train"]
    assert found.samples["loss_samples"].shape == (3, 3, 3)
    box = ["--bounds", "0", "0.1", "0", "0.1", "--output", str(run_folder / "y.nc"), "--quiet"]
    assert main(["refine", str(path), *box]) == 0
    assert main([*options, str(run_folder / "one.nc"), "--sample-numbers", "3"]) == 0
    capsys.readouterr()
    assert main(["info", str(run_folder / "one.nc")]) == 0
    assert "one sample, which has no standard error" in capsys.readouterr().out
    assert main([*options, str(run_folder / "z.nc"), "--sample-numbers", "99999"]) == 1
    assert "numbered 0 to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--clip"], "--clip: only goes with --directions inputs, but --directions is random"),
        (["--valid-range", "0,1"], "--valid-range 0,1: only goes with --directions inputs"),
        (["--directions", "inputs", "--parameters", "3"], "--parameters 3: cannot go with --dir"),
        (["--directions", "inputs", "--test"], "--test: cannot go with --directions inputs"),
        (["--directions", "inputs", "--sample-numbers", "3"], "both choose samples"),
        (["--directions", "between", "--models", "a", "b", "--parameters", "3"], "not pass thr"),
    ],
)
def test_options_of_other_directions_are_refused(run_folder, capsys, options, words):
    assert surface(run_folder, *options) == 2
    assert words in capsys.readouterr().err


def test_the_model_and_the_lowest_point_are_printed(run_folder, capsys):
    assert surface(run_folder, "--grid", "5") == 0
    assert main(["info", str(run_folder / "x.nc")]) == 0
    printed = capsys.readouterr().out
    loss = Landscape.open(run_folder / "x.nc").values()
    lines = [f"  the model, at (0, 0): loss {loss[2, 2]:.6g}", "  lowest evaluated point"]
    for line in lines:
        assert printed.count(line) == 2, line  # of surface and of info


def test_forgotten_weights_are_said_at_the_start_in_the_file_and_by_info(tmp_path, capsys):
    arguments = ["surface", "--model", "mlp", *FAST, "--grid", "3", "--output"]
    assert main([*arguments, str(tmp_path / "x.nc")]) == 0
    said = "none were given (--weights): this is an untrained mlp"
    assert f"losslandscape surface: weights: {said}" in capsys.readouterr().err
    assert Landscape.open(tmp_path / "x.nc").provenance["weights"] == said
    assert main(["info", str(tmp_path / "x.nc")]) == 0
    assert said in capsys.readouterr().out


def test_weights_that_were_given_are_not_remarked_on(run_folder, capsys):
    assert surface(run_folder, "--grid", "3") == 0
    assert main(["info", str(run_folder / "x.nc")]) == 0
    printed = capsys.readouterr()
    assert "weights" not in printed.err
    assert "none were given" not in printed.out


@pytest.mark.parametrize(
    "bounds", [["--bounds", "-1,1,-0.5,0.5"], ["--bounds", "-1", "1", "-0.5", "0.5"],
               ["--bounds=-1,1,-0.5,0.5"], ["--bounds", "-1,1", "-0.5,0.5"]],
)  # fmt: skip
def test_bounds_take_commas_and_spaces(run_folder, bounds):
    assert surface(run_folder, "--grid", "3", *bounds) == 0
    assert Landscape.open(run_folder / "x.nc").grid.bounds == ((-1, 1), (-0.5, 0.5))


def test_noise_of_the_arithmetic_is_beside_the_range(run_folder, capsys):
    narrow = ["--grid", "3", "--half-width", "1e-7", "--precision", "bfloat16"]
    assert surface(run_folder, *narrow) == 0
    assert main(["info", str(run_folder / "x.nc")]) == 0
    printed = capsys.readouterr().out
    assert "arithmetic  bfloat16: the loss is off by up to" in printed
    assert "mostly noise of the arithmetic; measure it with --precision float32" in printed
    assert surface(run_folder, "--grid", "3", "--half-width", "2", "--precision", "bfloat16",
                   output="y.nc") == 0  # fmt: skip
    assert main(["info", str(run_folder / "y.nc")]) == 0
    assert "mostly noise" not in capsys.readouterr().out


def test_the_sharpest_part_is_printed_and_stored(run_folder, capsys):
    assert surface(run_folder, "--grid", "7") == 0
    verb = ["flatness", str(run_folder / "x.nc"), "--quiet"]
    assert main([*verb, "--parts"]) == 0
    assert "  sharpest part: " in capsys.readouterr().out
    report = json.loads((run_folder / "x_flatness" / "flatness.json").read_text())
    assert {part["part"] for part in report["sharpness_by_part"]["parts"]} == {"1", "3", "5"}
    assert main([*verb, "--parts", "nowhere", "--overwrite"]) == 1
    assert "near are" in capsys.readouterr().err
