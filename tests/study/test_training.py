"""Training: that it learns, and that whatever interrupts it, the same bits come out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from losslandscape.errors import FileFormatError, LossLandscapeError, OutputExistsError
from losslandscape.study import training
from losslandscape.study.training import train
from losslandscape.training.recorder import TrajectoryRecorder
from losslandscape.training.trajectory import Trajectory
from losslandscape.training.weights import read_weights


@pytest.fixture(autouse=True)
def one_thread():
    """The models are too small for more, and equal bits need equally many."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What runs that nothing interrupts leave, by their options."""
    runs = {}

    def contents_of(**options):
        key = tuple(options.items())
        if key not in runs:
            folder = tmp_path_factory.mktemp("whole")
            run(folder, **options)
            runs[key] = contents(folder)
        return runs[key]

    return contents_of


def make_model():
    """Convolution, batch norm and dropout: everything that has a state or draws numbers."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * 16, 3),
    )


def make_data(samples=41):
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(samples) % 3
    images = torch.randn(samples, 2, 4, 4, generator=random) + labels[:, None, None, None]
    return images, labels


def run(folder, **options):
    options = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "quiet": True, **options}
    return train(make_model(), make_data(), folder, test_data=make_data(10), **options)


def contents(folder):
    """All that must be equal: every file's bytes, times taken aside."""
    found = {}
    for file in sorted(Path(folder).rglob("*")):
        if file.name == "metrics.json":
            metrics = json.loads(file.read_text())
            found[file.name] = [{k: v for k, v in m.items() if k != "seconds"} for m in metrics]
        elif file.name == "state.safetensors":
            found[file.name] = {n: t.tolist() for n, t in read_weights(file).items()}
        elif file.is_file():
            found[str(file.relative_to(folder))] = file.read_bytes()
    return found


def test_what_a_run_leaves(tmp_path):
    metrics = run(tmp_path / "run", records_per_epoch=2)
    assert [m["epoch"] for m in metrics] == [0, 1, 2, 3]
    assert metrics[-1]["train_loss"] < 0.5 * metrics[0]["train_loss"]
    assert metrics[-1]["train_accuracy"] > 0.7
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics

    trajectory = Trajectory.open(tmp_path / "run" / "trajectory")
    assert trajectory.steps.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert trajectory.numbers("train_loss")[2] == metrics[1]["train_loss"]
    assert (trajectory.numbers("batch_loss")[1:] > 0).all()
    initial = make_model().state_dict()
    for name, value in trajectory.parameters(0).items():
        assert torch.equal(value, initial[name])
    final = read_weights(tmp_path / "run")
    for name, value in {**trajectory.parameters(-1), **trajectory.buffers(-1)}.items():
        assert torch.equal(value, final[name])


def test_metrics_are_those_of_the_final_model(tmp_path):
    model = make_model()
    images, labels = make_data()
    metrics = train(model, (images, labels), tmp_path, epochs=1, batch_size=8, quiet=True)[-1]
    assert not model.training
    assert model[0].weight.is_contiguous()
    outputs = model(images)
    loss = nn.functional.cross_entropy(outputs, labels).item()
    assert metrics["train_loss"] == pytest.approx(loss, rel=1e-5)
    assert metrics["train_accuracy"] == (outputs.argmax(1) == labels).sum().item() / 41


def test_it_is_the_textbooks_loop(tmp_path):
    """One epoch against a plain loop over the same batches."""
    model, (images, labels) = make_model()[3:6], make_data()
    model[1].p = 0.0
    model[2] = nn.Linear(2 * 16, 3)
    reference = nn.Sequential(nn.Flatten(), nn.Linear(2 * 16, 3))
    reference[1].load_state_dict(model[2].state_dict())
    train(
        model, (images, labels), tmp_path, epochs=1, batch_size=8, optimizer="sgd",
        learning_rate=0.1, momentum=0.5, weight_decay=0.0, seed=4, quiet=True,
    )  # fmt: skip
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.1, momentum=0.5)
    state = torch.get_rng_state()
    batches = training._batches_of_epoch(4, 1, 41, 8)
    torch.set_rng_state(state)
    assert sorted(torch.cat(batches).tolist()) == list(range(41))
    for batch in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(reference(images[batch]), labels[batch]).backward()
        optimizer.step()
    torch.testing.assert_close(model[2].weight, reference[1].weight)


def test_a_single_last_sample_joins_the_batch_before():
    assert [len(batch) for batch in training._batches_of_epoch(0, 1, 17, 8)] == [8, 9]
    assert [len(batch) for batch in training._batches_of_epoch(0, 1, 3, 1)] == [1, 1, 1]


def test_epochs_have_orders_of_their_own():
    orders = {
        (seed, epoch): tuple(torch.cat(training._batches_of_epoch(seed, epoch, 50, 8)).tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(set(orders.values())) == 9


@pytest.mark.parametrize("records", [1, 2, 3, 4, 10])
def test_records_are_spread_evenly(records):
    due = training._records_due(batches=40, records=records)
    assert due == {40 * i // records if 40 % records == 0 else round(40 * i / records): i / records
                   for i in range(1, records)}  # fmt: skip
    assert all(0 < count < 5 for count in training._records_due(5, records))


def test_the_callers_random_numbers_are_left_alone(tmp_path):
    torch.manual_seed(7)
    expected = torch.rand(3)
    model, data = make_model(), make_data()
    torch.manual_seed(7)
    train(model, data, tmp_path, epochs=1, quiet=True)
    assert torch.equal(torch.rand(3), expected)


# --- interruption


class Killed(BaseException):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("steps", [0, 3, 5, 12])
def test_interrupted_in_a_step(tmp_path, monkeypatch, whole, optimizer, steps):
    step, count = training._step, 0

    def step_until(*arguments):
        nonlocal count
        count += 1
        if count > steps:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(training, "_step", step_until)
    with pytest.raises(KeyboardInterrupt) as caught:
        run(tmp_path / "stopped", optimizer=optimizer)
    metrics = tmp_path / "stopped" / "metrics.json"
    if steps >= 5:  # those of an epoch
        done = len(json.loads(metrics.read_text())) - 1
        assert str(caught.value).startswith(f"{done} of ")
    else:  # so that other settings may be tried in the same folder
        assert not (tmp_path / "stopped").exists()
        assert caught.value.args == ()
    monkeypatch.undo()
    run(tmp_path / "stopped", optimizer=optimizer)
    assert contents(tmp_path / "stopped") == whole(optimizer=optimizer)


@pytest.mark.parametrize("write", range(1, 30, 3))
def test_killed_before_any_write(tmp_path, monkeypatch, whole, write):
    """Every file appears by a rename; the process dies just before the n-th."""
    replace, count = os.replace, 0

    def replace_until(*arguments):
        nonlocal count
        count += 1
        if count == write:
            raise Killed
        return replace(*arguments)

    monkeypatch.setattr(os, "replace", replace_until)
    with pytest.raises(Killed):
        run(tmp_path / "stopped")
    monkeypatch.undo()
    run(tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == whole()


def test_killed_by_the_system(tmp_path, whole):
    """A real process and a real SIGKILL."""
    program = (
        "import sys, time; sys.path[:0] = [{tests!r}]\n"
        "import test_training as t\n"
        "step = t.training._step\n"
        "t.training._step = lambda *a: (time.sleep(0.02), step(*a))[1]\n"
        "t.torch.set_num_threads({threads})\n"
        "t.run({folder!r}, epochs=4)\n"
    ).format(
        tests=str(Path(__file__).parent),
        folder=str(tmp_path / "stopped"),
        threads=torch.get_num_threads(),
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    metrics = tmp_path / "stopped" / "metrics.json"
    deadline = time.monotonic() + 120
    while not metrics.exists() or len(json.loads(metrics.read_text())) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "stopped" / "weights.safetensors").exists()

    run(tmp_path / "stopped", epochs=4)
    assert contents(tmp_path / "stopped") == whole(epochs=4)


@pytest.mark.parametrize("file", ["settings.json", "state.safetensors", "weights.safetensors"])
def test_killed_in_a_write(tmp_path, whole, file):
    """What a killed writer leaves is gone when the run that goes on has ended."""
    program = (
        "import os, signal, sys; sys.path[:0] = [{tests!r}]\n"
        "import test_training as t\n"
        "replace = os.replace\n"
        "def killed(source, target):\n"
        "    if os.path.basename(target) == {file!r}:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    replace(source, target)\n"
        "os.replace = killed\n"
        "t.torch.set_num_threads({threads})\n"
        "t.run({folder!r}, epochs=2)\n"
    ).format(
        tests=str(Path(__file__).parent),
        file=file,
        folder=str(tmp_path / "stopped"),
        threads=torch.get_num_threads(),
    )
    process = subprocess.run([sys.executable, "-c", program], check=False)
    assert process.returncode == -signal.SIGKILL
    left = [f.name for f in (tmp_path / "stopped").glob(".*.partial")]
    assert len(left) == 1
    assert left[0].startswith(f".{file}.")
    run(tmp_path / "stopped", epochs=2)
    assert contents(tmp_path / "stopped") == whole(epochs=2)


def test_more_epochs_go_on(tmp_path, whole):
    run(tmp_path / "longer", epochs=2)
    run(tmp_path / "longer", epochs=4)
    assert contents(tmp_path / "longer") == whole(epochs=4)


def test_a_finished_run_is_loaded(tmp_path, monkeypatch):
    metrics = run(tmp_path)
    monkeypatch.setattr(training, "_step", None)
    model = make_model()
    options = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01}
    again = train(model, make_data(), tmp_path, test_data=make_data(10), quiet=True, **options)
    assert again == metrics
    assert torch.equal(model[0].weight, read_weights(tmp_path)["0.weight"])


def test_without_a_trajectory(tmp_path):
    run(tmp_path / "without", trajectory=False)
    run(tmp_path / "with")
    assert not (tmp_path / "without" / "trajectory").exists()
    a, b = read_weights(tmp_path / "without"), read_weights(tmp_path / "with")
    assert all(torch.equal(a[name], b[name]) for name in b)


# --- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.02}, r"another learning_rate \(0.01, now 0.02\)"),
        ({"seed": 1}, "another seed"),
        ({"optimizer": "sgd"}, "another optimizer"),
        ({"records_per_epoch": 1}, "another records_per_epoch"),
        ({"epochs": 2}, "already has 3 finished epochs, more than 2"),
    ],
)
def test_a_run_with_other_settings_is_kept(tmp_path, options, message):
    run(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(OutputExistsError, match=message):
        run(tmp_path, **options)
    assert contents(tmp_path) == before
    run(tmp_path, **options, overwrite=True)
    assert contents(tmp_path) != before


def test_other_data_and_models_are_noticed(tmp_path):
    run(tmp_path)
    options = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "quiet": True}
    with pytest.raises(OutputExistsError, match="another data"):
        train(make_model(), make_data(30), tmp_path, **options)
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 3))
    with pytest.raises(OutputExistsError, match="another model"):
        train(model, make_data(), tmp_path, **options)


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(OutputExistsError, match="not empty and does not contain a training run"):
        run(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_overwrite_replaces_the_trajectory(tmp_path):
    run(tmp_path / "run")
    run(tmp_path / "run", epochs=1, overwrite=True)
    run(tmp_path / "fresh", epochs=1)
    assert contents(tmp_path / "run") == contents(tmp_path / "fresh")


def test_divergence_is_an_error(tmp_path):
    with pytest.raises(LossLandscapeError, match=r"loss became .* learning rate smaller than"):
        run(tmp_path, optimizer="sgd", learning_rate=1e30)


@pytest.mark.parametrize(
    "options", [{"epochs": 0}, {"batch_size": 0}, {"records_per_epoch": 0}, {"optimizer": "lion"}]
)
def test_settings_without_sense(tmp_path, options):
    with pytest.raises(LossLandscapeError, match=r"must be at least 1|use adamw, adam or sgd"):
        run(tmp_path, **options)


@pytest.mark.parametrize("name", ["settings.json", "state.safetensors"])
def test_damaged_files_are_named(tmp_path, name):
    run(tmp_path)
    (tmp_path / name).write_text("{}")
    with pytest.raises(FileFormatError, match=name):
        run(tmp_path)


def test_a_full_disk_leaves_a_run_that_goes_on(tmp_path, whole, monkeypatch):
    record = TrajectoryRecorder.record

    def disk_full(self, step, **numbers):
        if step >= 2:
            raise LossLandscapeError("no space left on the disk")
        record(self, step, **numbers)

    monkeypatch.setattr(TrajectoryRecorder, "record", disk_full)
    with pytest.raises(LossLandscapeError, match="no space"):
        run(tmp_path / "stopped")
    monkeypatch.undo()
    run(tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == whole()


def test_optimizers_have_the_settings_that_were_given():
    model = make_model()
    adamw = training._optimizer("adamw", model, 0.01, 0.02, 0.9)
    assert type(adamw) is torch.optim.AdamW
    assert (adamw.defaults["lr"], adamw.defaults["weight_decay"]) == (0.01, 0.02)
    adam = training._optimizer("adam", model, 0.01, 0.02, 0.9)
    assert type(adam) is torch.optim.Adam
    assert (adam.defaults["lr"], adam.defaults["weight_decay"]) == (0.01, 0.02)
    sgd = training._optimizer("sgd", model, 0.03, 0.04, 0.5)
    assert type(sgd) is torch.optim.SGD
    assert [sgd.defaults[k] for k in ("lr", "weight_decay", "momentum")] == [0.03, 0.04, 0.5]
    with pytest.raises(LossLandscapeError, match=r"'lion'.*adamw, adam or sgd"):
        training._optimizer("lion", model, 0.01, 0.0, 0.0)


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_the_mean_over_batches_of_unequal_size_is_that_over_samples(monkeypatch, batch):
    monkeypatch.setattr(training, "_EVALUATION_BATCH_SIZE", batch)
    model, (images, labels) = make_model(), make_data(13)
    found = training._evaluate(model, (images, labels), torch.nn.functional.cross_entropy, "x_")
    assert not model.training
    outputs = model(images)
    losses = torch.nn.functional.cross_entropy(outputs, labels, reduction="none")
    assert found["x_loss"] == pytest.approx(losses.mean().item(), rel=1e-5)
    assert found["x_accuracy"] == int((outputs.argmax(1) == labels).sum()) / 13
    regression = training._evaluate(
        model, (images, outputs.detach() + 2), torch.nn.functional.mse_loss, ""
    )
    assert list(regression) == ["loss"]
    assert regression["loss"] == pytest.approx(4.0, rel=1e-5)


class Viewing(torch.nn.Module):
    """It calls ``view`` on its maps, which row-major ones alone allow."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(2, 3, 3)

    def forward(self, images):
        maps = self.convolution(images)
        return maps.view(len(images), -1)


def test_models_with_convolutions_run_channels_last_if_they_can():
    images = torch.randn(2, 2, 6, 6)
    plain = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Flatten())
    assert training._runs_channels_last(plain, images)
    assert plain[0].weight.is_contiguous(memory_format=torch.channels_last)
    viewing = Viewing()
    assert not training._runs_channels_last(viewing, images)
    assert viewing.convolution.weight.is_contiguous()
    assert not training._runs_channels_last(torch.nn.Flatten(), images)
    assert not training._runs_channels_last(plain, images.flatten(1))


@pytest.mark.parametrize(
    ("samples", "size", "sizes"),
    [(8, 4, [4, 4]), (9, 4, [4, 5]), (10, 4, [4, 4, 2]), (3, 4, [3]), (1, 4, [1]), (5, 4, [5])],
)
def test_batches_are_whole_but_for_the_last(samples, size, sizes):
    assert training._batch_sizes(samples, size) == sizes
    batches = training._batches_of_epoch(0, 1, samples, size)
    assert [len(batch) for batch in batches] == sizes
    assert sorted(torch.cat(batches).tolist()) == list(range(samples))


def test_records_within_an_epoch_are_after_batches_of_it():
    assert training._records_due(10, 1) == {}
    assert training._records_due(10, 2) == {5: 0.5}
    assert training._records_due(9, 3) == {3: 1 / 3, 6: 2 / 3}
    assert training._records_due(1, 4) == {}
    assert set(training._records_due(3, 50)) == {1, 2}


@pytest.mark.parametrize("option", ["epochs", "batch_size", "records_per_epoch"])
def test_numbers_below_1_are_refused_and_1_is_not(tmp_path, option):
    with pytest.raises(LossLandscapeError, match=rf"{option} \(0\)"):
        run(tmp_path / "none", **{option: 0})
    run(tmp_path / "one", **{"epochs": 1, option: 1})


def test_the_digest_tells_names_types_shapes_and_values_apart():
    tensor = torch.arange(6.0)
    given = [
        {"a": tensor}, {"b": tensor}, {"a": tensor.view(2, 3)}, {"a": tensor.double()},
        {"a": tensor + 1},
    ]  # fmt: skip
    assert len({training._digest(one) for one in given}) == 5
    assert training._digest({"a": tensor.clone()}) == training._digest({"a": tensor})
