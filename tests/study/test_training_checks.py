"""What training refuses, and that nothing is left of a run that failed at its start."""

import shutil

import pytest
import torch
from torch import nn

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.files.output_lock import OutputLock
from losslandscape.study.training import train

NAN = float("nan")


def network(outputs=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, outputs))


def data(count=20):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(1)), torch.arange(
        count
    ) % 3


def run(folder, model=None, samples=None, **options):
    model = network() if model is None else model
    options = {"epochs": 2, "batch_size": 8, "quiet": True, **options}
    return train(model, data() if samples is None else samples, folder, **options)


class Forward(nn.Linear):
    """A network whose forward pass is a function of its outputs."""

    def __init__(self, change):
        super().__init__(3, 3)
        self.change = change

    def forward(self, inputs):
        return self.change(super().forward(inputs))


def _exits(outputs):
    raise SystemExit(0)


def _frozen():
    return network().requires_grad_(False)


def _labels(value, number=17):
    inputs, targets = data()
    targets[number] = value
    return inputs, targets


def _inputs(value, number=17):
    inputs, targets = data()
    inputs[number, 0] = value
    return inputs, targets


@pytest.mark.parametrize(
    ("model", "samples", "words"),
    [
        (None, _labels(5), "has 3 outputs, for labels 0 to 2, and sample 17 has the label 5"),
        (None, _labels(-1), "sample 17 has the label -1"),
        (None, (data()[0], data()[1].float()), "Float"),
        (None, (data()[0][:, :2], data()[1]), "the shapes of the data do not fit Sequential"),
        (None, (data()[0].double(), data()[1]), "the inputs are float64 and Sequential is float32"),
        (None, (data()[0], data()[1][:-1]), "as many targets as inputs"),
        (None, (torch.zeros(0, 3), torch.zeros(0)), "at least one"),
        (None, 3, "data is a int; give two tensors"),
        (nn.ReLU(), None, "ReLU has no parameters"),
        (_frozen(), None, "all 4 parameters of Sequential are frozen"),
        (network().half(), None, "Sequential is float16 ('0.weight'), and training rounds"),
        (nn.LazyLinear(3), None, "parameters without a shape (weight, bias)"),
        (3, None, "model is 3 (int), but a Module is expected"),
        (Forward(lambda outputs: None), None, "the model's forward pass returned None"),
        (Forward(_exits), None, "sys.exit(0) ("),
        (Forward(lambda outputs: outputs.detach()), None, "has no gradient: does the forward"),
        (None, _inputs(NAN), "sample 17: its inputs have NaN in 1 of 3 values; remove"),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(tmp_path, model, samples, words):
    with pytest.raises(LossLandscapeError) as error:
        run(tmp_path / "a" / "run", model, samples)
    assert words in str(error.value)
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty").mkdir()
    with pytest.raises(LossLandscapeError):
        run(tmp_path / "empty", model, samples)
    assert not list((tmp_path / "empty").iterdir())


def test_weights_that_are_not_finite_at_the_start(tmp_path):
    model = network()
    model[2].weight.data[0, 0] = NAN
    with pytest.raises(LossLandscapeError, match=r"initial model is nan: parameter '2\.weight'"):
        run(tmp_path / "run", model)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [{"learning_rate": 1e30}, {"weight_decay": 1e30}])
@pytest.mark.parametrize("batch_size", [8, 20])  # the whole set in one step: no later loss tells
@pytest.mark.parametrize("records", [1, 2])
def test_a_run_that_diverges_is_not_saved(tmp_path, options, batch_size, records):
    more = {"optimizer": "sgd", "batch_size": batch_size, "records_per_epoch": records, **options}
    more = {"learning_rate": 1e10, **more}
    with pytest.raises(LossLandscapeError, match="try a learning rate smaller than") as error:
        run(tmp_path / "run", **more)
    assert not (tmp_path / "run" / "weights.safetensors").exists()
    assert "epoch 1" not in str(error.value) or not (tmp_path / "run").exists()


def test_finished_epochs_of_a_run_that_diverges_later_stay(tmp_path):
    calls = []

    def diverging(outputs, targets):
        calls.append(1)
        loss = nn.functional.cross_entropy(outputs, targets)
        return loss * (NAN if len(calls) > 9 else 1.0)

    with pytest.raises(LossLandscapeError, match="epoch 2; try"):
        run(tmp_path / "run", loss_function=diverging)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"settings.json", "state.safetensors", "metrics.json", "trajectory"}


def test_one_process_at_a_time(tmp_path):
    (tmp_path / "run").mkdir()
    with (
        OutputLock(tmp_path / "run", inside=True),
        pytest.raises(LossLandscapeError, match="has been writing it since"),
    ):
        run(tmp_path / "run", overwrite=True)
    run(tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize("more", [{}, {"epochs": 3}])
def test_a_trajectory_that_is_gone_or_of_another_run(tmp_path, more):
    run(tmp_path / "run")
    run(tmp_path / "other", seed=1)
    trajectory = tmp_path / "run" / "trajectory"
    kept = shutil.copytree(trajectory, tmp_path / "kept")
    shutil.rmtree(trajectory)
    with pytest.raises(FileFormatError, match=r"does not belong to the run in .*no such"):
        run(tmp_path / "run", **more)
    assert not trajectory.exists()
    shutil.copytree(tmp_path / "other" / "trajectory", trajectory)
    with pytest.raises(FileFormatError, match="its last checkpoint has other weights"):
        run(tmp_path / "run", **more)
    shutil.rmtree(trajectory)
    shutil.copytree(kept, trajectory)
    assert len(run(tmp_path / "run", **more)) == 1 + more.get("epochs", 2)


def test_a_shorter_trajectory(tmp_path):
    run(tmp_path / "run")
    run(tmp_path / "one", epochs=1)
    shutil.rmtree(tmp_path / "run" / "trajectory")
    shutil.copytree(tmp_path / "one" / "trajectory", tmp_path / "run" / "trajectory")
    with pytest.raises(FileFormatError, match=r"it has \d of the \d+ checkpoints until now"):
        run(tmp_path / "run", epochs=3)


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_is_removed_meanwhile(tmp_path, again):
    calls = []

    def removing(outputs, targets):
        calls.append(1)
        if len(calls) == 9:
            shutil.rmtree(tmp_path / "run")
            if again:
                (tmp_path / "run").mkdir()
                (tmp_path / "run" / "settings.json").touch()  # of another process
        return nn.functional.cross_entropy(outputs, targets)

    words = "was replaced by another one" if again else "the folder was removed"
    with pytest.raises(LossLandscapeError, match=words):
        run(tmp_path / "run", epochs=3, loss_function=removing)
    assert not again or [path.name for path in (tmp_path / "run").iterdir()] == ["settings.json"]
