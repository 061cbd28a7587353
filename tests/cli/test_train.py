"""The frame of the command line, its shared arguments, and ``losslandscape train``."""

import argparse
import json
import signal
import subprocess
import sys

import pytest
import torch

from losslandscape import cli
from losslandscape.cli import arguments as shared
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.study import training
from losslandscape.training.weights import read_weights, save_weights

SMALL = ["--model", "mlp", "--data", "digits8", "--epochs", "1", "--records-per-epoch", "2"]


def test_help_needs_neither_torch_nor_numpy():
    program = (
        "import sys, contextlib, losslandscape.cli as cli\n"
        "with contextlib.suppress(SystemExit): cli.main(['--help'])\n"
        "print({'torch', 'numpy', 'vtk', 'sklearn'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.endswith("set()\n"), result.stdout + result.stderr
    assert "train" in result.stdout


def test_train_writes_a_run(tmp_path, capsys):
    assert main(["train", *SMALL, "--output", str(tmp_path / "run")]) == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"weights.safetensors", "trajectory", "metrics.json", "settings.json"} <= names
    output = capsys.readouterr().out
    assert "test accuracy" in output
    assert "weights.safetensors" in output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics[1]["test_accuracy"] > metrics[0]["test_accuracy"]


def test_the_seed_decides_everything(tmp_path):
    for name, seed in [("a", "3"), ("b", "3"), ("c", "4")]:
        main(["train", *SMALL, "--seed", seed, "--quiet", "--output", str(tmp_path / name)])
    a, b, c = ((tmp_path / name / "weights.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_quiet_says_nothing(tmp_path, capsys):
    assert main(["train", *SMALL, "--quiet", "--output", str(tmp_path / "run")]) == 0
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_subset_trains_on_the_subset_and_tests_on_the_whole(tmp_path, monkeypatch):
    seen = {}

    def remember(model, data, folder, *, test_data, **_):
        seen.update(train=len(data[0]), test=len(test_data[0]))
        return [{"epoch": 0}]

    monkeypatch.setattr(training, "train", remember)
    main(["train", *SMALL, "--samples", "50", "--output", str(tmp_path)])
    assert seen == {"train": 50, "test": 359}


def test_a_users_own_model_and_data(tmp_path, monkeypatch):
    (tmp_path / "users_code.py").write_text(
        "import torch\n"
        "def build(): return torch.nn.Linear(2, 2)\n"
        "def load(): return torch.randn(20, 2), torch.arange(20) % 2\n"
    )
    monkeypatch.chdir(tmp_path)
    own = ["--model", "users_code:build", "--data", "users_code:load"]
    assert main(["train", *own, "--epochs", "1", "--quiet", "--output", "run"]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(metrics[0]) == {"epoch", "train_loss", "train_accuracy", "seconds"}


def test_a_users_mistake_is_one_message(tmp_path, capsys):
    assert main(["train", "--model", "resnet", "--output", str(tmp_path)]) == cli.EXIT_ERROR
    message = capsys.readouterr().err
    assert message.startswith("losslandscape train: no network is called 'resnet'")
    assert "Traceback" not in message


def test_an_existing_run_with_other_settings(tmp_path, capsys):
    assert main(["train", *SMALL, "--quiet", "--output", str(tmp_path)]) == 0
    assert main(["train", *SMALL, "--seed", "1", "--quiet", "--output", str(tmp_path)]) == 1
    assert "another seed (0, now 1)" in capsys.readouterr().err
    again = [*SMALL, "--seed", "1", "--quiet", "--overwrite", "--output", str(tmp_path)]
    assert main(["train", *again]) == 0


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupted(*_, **__):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(training, "_step", interrupted)
        status = main(["train", *SMALL, "--quiet", "--output", str(tmp_path), "--overwrite"])
    assert status == cli.EXIT_INTERRUPTED
    *_, what, told = capsys.readouterr().err.splitlines()
    assert "nothing was finished" in what  # so that nothing stands in the way of --overwrite
    command = f"losslandscape train {' '.join(SMALL)} --quiet --output {tmp_path} --overwrite"
    assert told.strip() == command
    assert main(["train", *SMALL, "--quiet", "--output", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([], "VERB"),
        (["bake"], "bake: must be one of train,"),
        (["train"], "--model"),
        (["train", "--model", "mlp"], "--output"),
        (
            ["train", "--model", "mlp", "--output", "x", "--epochs", "0"],
            "--epochs 0: must be a whole number from 1 to 100000",
        ),
        (
            ["train", "--model", "mlp", "--output", "x", "--epochs", "two"],
            "--epochs two: must be a whole",
        ),
        (["train", "--model", "mlp", "--output", "x", "--seed", "-1"], "from 0 to 2**64 - 1"),
        (["train", "--model", "mlp", "--output", "x", "--learning-rate", "nan"], "number above 0"),
        (["train", "--model", "mlp", "--output", "x", "--learning-rate", "fast"], "number above 0"),
    ],
)
def test_a_wrong_command_line(line, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(line)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("line", [["--help"], ["--version"], ["train", "--help"]])
def test_help(line, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(line)
    assert stopped.value.code == 0
    assert "losslandscape" in capsys.readouterr().out


def test_verbs_have_the_parts_that_the_frame_needs():
    for verb, module in cli._available_verbs().items():
        assert "\n" not in module.HELP, verb
        assert callable(module.add_arguments), verb
        assert callable(module.run), verb


# --- shared arguments


def parse(line):
    parser = argparse.ArgumentParser()
    shared.add_model_arguments(parser)
    shared.add_data_arguments(parser)
    shared.add_seed_argument(parser, "for nothing")
    shared.add_output_arguments(parser, "where to")
    shared.add_run_arguments(parser)
    return parser.parse_args([*line, "--output", "x"])


def test_networks_are_sized_to_the_data():
    arguments = parse(["--model", "small_resnet", "--data", "digits8", "--samples", "20"])
    samples = shared.samples_from(arguments)
    model = shared.model_from(arguments, samples)
    assert samples[0].shape == (20, 1, 8, 8)
    assert samples[1].bincount().tolist() == [2] * 10
    assert model(samples[0]).shape == (20, 10)
    assert not model.training


def test_weights_are_loaded(tmp_path):
    torch.manual_seed(0)
    trained = shared.model_from(parse(["--model", "mlp"]))
    save_weights(trained, tmp_path / "w.safetensors")
    arguments = parse(["--model", "mlp", "--weights", str(tmp_path / "w.safetensors")])
    model = shared.model_from(arguments)
    assert torch.equal(model[1].weight, read_weights(tmp_path / "w.safetensors")["1.weight"])
    arguments.data = "digits8"
    with pytest.raises(LossLandscapeError, match=r"w.safetensors: tensor '1.weight' has shape"):
        shared.model_from(arguments, shared.samples_from(arguments))


def test_the_studys_networks_need_images():
    arguments = parse(["--model", "mlp"])
    with pytest.raises(LossLandscapeError, match=r"\(4, 2\).*the study's networks need images"):
        shared.model_from(arguments, (torch.zeros(4, 2), torch.zeros(4)))


def test_devices_and_threads():
    threads = torch.get_num_threads()
    assert shared.device_from(parse(["--model", "mlp", "--threads", "1"])).type == "cpu"
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)
    for wrong in ("warp", "cuda:99"):
        with pytest.raises(LossLandscapeError, match=f"--device {wrong} cannot be used"):
            shared.device_from(parse(["--model", "mlp", "--device", wrong]))
