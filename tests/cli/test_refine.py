"""``losslandscape refine`` as it is typed: in a folder and a process of its own, mostly a fork."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from netCDF4 import Dataset
from tests.cli import command_process

import losslandscape
from losslandscape import Grid, Landscape, Objective, Subspace, Trajectory, TrajectoryRecorder
from losslandscape.files.journal import Journal, journal_path

MINE = """
import os
import time
import torch
from pathlib import Path

Path("ran.txt").open("a").write("mine\\n")

def build():
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))

def load():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(64, 3, generator=generator)
    return inputs, (inputs.sum(1) > 0).long()

def loss(model, batch):
    time.sleep(float(os.environ.get("PAUSE", 0)))
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""
BOX = ["--bounds", "-0.3", "0.5", "0", "1"]


def command(*arguments):
    return [sys.executable, "-m", "losslandscape", *map(str, arguments)]


def environment(**changed):
    package = str(Path(losslandscape.__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": package, "OMP_NUM_THREADS": "1", **changed}


def run(*arguments, folder):
    return command_process.run(arguments, folder)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project as a user has it: code, weights, and a landscape in a folder of results."""
    folder = tmp_path_factory.mktemp("a project") / "work"
    (folder / "run").mkdir(parents=True)
    (folder / "mine_to_refine.py").write_text(MINE, encoding="utf-8")
    sys.path.insert(0, str(folder))
    before = Path.cwd()
    os.chdir(folder)
    import mine_to_refine

    os.chdir(before)
    torch.manual_seed(0)
    model = mine_to_refine.build()
    with TrajectoryRecorder(model, folder / "run" / "trajectory") as recorder:
        for step in range(4):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
            recorder.record(step)
    torch.save(model.state_dict(), folder / "run" / "weights.pt")
    names = [f"--{n}=mine_to_refine:{f}" for n, f in (("model", "build"), ("data", "load"))]
    done = run(
        "surface", *names, "--weights", "run/weights.pt", "--grid", "6", "--output",
        "results/coarse.nc", "--trajectory", "run/trajectory", folder=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "ran.txt").unlink()
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("mine_to_refine", None)


@pytest.fixture(autouse=True)
def nothing_ran_before(project):
    (project / "ran.txt").unlink(missing_ok=True)


def test_an_untrusted_file_runs_nothing_and_says_what_it_would_run(project, tmp_path):
    file = project / "results" / "coarse.nc"
    done = run("refine", file, *BOX, "--output", "fine.nc", folder=tmp_path)
    assert done.returncode == 1
    assert "--model mine_to_refine:build --data mine_to_refine:load" in done.stderr
    assert f"--trust-file), which runs the code from {project}" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert not (project / "ran.txt").exists()


def test_a_trusted_file_is_refined_from_any_folder(project, tmp_path):
    file = project / "results" / "coarse.nc"
    done = run("refine", file, *BOX, "--trust-file", "--output", "fine.nc", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    names = "mine_to_refine:build, mine_to_refine:load"
    assert f"trusted; running its code {names} from {project}" in done.stderr
    assert "their losses are the same to the bit" in done.stdout
    coarse, fine = Landscape.open(file), Landscape.open(tmp_path / "fine.nc")
    # -0.3..0.5 grows to -0.6..0.6, and 0..1 to -0.2..1
    assert fine.grid.counts == (13, 13)
    np.testing.assert_array_equal(fine.values()[::4, ::4], coarse.values()[2:, 1:5])
    np.testing.assert_array_equal(
        fine.values("accuracy")[::4, ::4], coarse.values("accuracy")[2:, 1:5]
    )
    np.testing.assert_array_equal(fine.trajectories[0].loss, coarse.trajectories[0].loss)
    assert fine.provenance["refined"]["points"] == fine.provenance["refined"]["equal"] == 16
    # the new file is as good as the first: refined again, from a third folder
    third = tmp_path / "third"
    third.mkdir()
    done = run(
        "refine", "../fine.nc", "--bounds=-1e-3,0.1,0,0.2", "--factor", "2", "--trust-file",
        "--output", "finer.nc", folder=third,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "same to the bit" in done.stdout


def test_code_named_again_runs_from_the_current_folder(project):
    names = [f"--{n}=mine_to_refine:{f}" for n, f in (("model", "build"), ("data", "load"))]
    done = run(
        "refine", "results/coarse.nc", *BOX, "--grid", "4", *names, "--output", "again.nc",
        "--threads", "2", folder=project,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "trusted" not in done.stderr
    assert Landscape.open(project / "again.nc").grid == Grid.rectangle(
        (4, 4), [(-0.3, 0.5), (0, 1)]
    )


def altered(file, to, change):
    """A copy of a landscape file with another provenance, as an attacker or a mistake makes it."""
    landscape = Landscape.open(file)
    change(landscape.provenance)
    landscape.save(to)
    return to


def test_a_file_cannot_smuggle_code_in_by_its_folder(project, tmp_path):
    """A built-in model needs no trust; then nothing is imported from a folder the file names."""
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("sklearn", "torchvision", "losslandscape", "json"):
        (evil / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran.txt')!r}, 'w').write('evil')", encoding="utf-8"
        )
    (tmp_path / "here").mkdir()

    def change(provenance):
        wanted = {"model": "small_transformer", "data": "digits"}  # import all that is planted
        provenance["arguments"].update(**wanted, weights=None, folder="evil")

    file = altered(project / "results" / "coarse.nc", tmp_path / "x.nc", change)
    done = subprocess.run(  # a process of its own, which has imported none of them
        command("refine", file, *BOX, "--output", "y.nc"), cwd=tmp_path / "here",
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "the given subspace is not the landscape's" in done.stderr
    assert not (tmp_path / "ran.txt").exists()
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("model", ["mine:build"]), ("weights", {"a": 1}), ("models", [1]), ("dimensions", "two")],
)
def test_arguments_of_another_type_are_a_message(project, tmp_path, name, value):
    file = altered(
        project / "results" / "coarse.nc",
        tmp_path / "x.nc",
        lambda provenance: provenance["arguments"].update({name: value}),
    )
    done = run("refine", file, *BOX, "--trust-file", "--output", "y.nc", folder=tmp_path)
    assert done.returncode == 1
    assert f"does not record the {name}" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_weights_are_refused_before_anything_is_evaluated(project, tmp_path):
    other = torch.load(project / "run" / "weights.pt")
    other["0.bias"][0] += 1e-3
    torch.save(other, tmp_path / "other.pt")
    file = project / "results" / "coarse.nc"
    done = run(
        "refine", file, *BOX, "--trust-file", "--weights", "other.pt", "--output", "y.nc",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "what differs: the model's parameters (other weights?)" in done.stderr
    assert str(tmp_path / "other.pt") in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["other.pt"]


def test_weights_that_moved_with_the_file_are_found(project, tmp_path):
    """Beside the file where the folder that it names is gone."""
    (tmp_path / "run").mkdir()
    weights = (project / "run" / "weights.pt").read_bytes()
    (tmp_path / "run" / "weights.pt").write_bytes(weights)
    (tmp_path / "mine_to_refine.py").write_text(MINE, encoding="utf-8")
    file = altered(
        project / "results" / "coarse.nc",
        tmp_path / "x.nc",
        lambda provenance: provenance["arguments"].update(folder="gone"),
    )
    done = run("refine", file, *BOX, "--trust-file", "--output", "y.nc", folder=tmp_path)
    assert done.returncode == 1
    assert "gone: the folder of the file's code and paths does not exist" in done.stderr
    names = [f"--{n}=mine_to_refine:{f}" for n, f in (("model", "build"), ("data", "load"))]
    done = run("refine", file, *BOX, *names, "--output", "y.nc", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "same to the bit" in done.stdout


@pytest.mark.parametrize("kind", ["random", "pca", "moved pca", "given"])
def test_a_landscape_made_from_python(project, tmp_path, kind):
    import mine_to_refine

    model = mine_to_refine.build()
    model.load_state_dict(torch.load(project / "run" / "weights.pt"))
    objective = Objective(model, "cross_entropy", mine_to_refine.load(), batch_size=32)
    if kind == "random":
        plane = Subspace.random(model, 2, "layer", seed=5, zero_vectors=False)
    elif kind == "pca":
        plane = Subspace.pca(Trajectory.open(project / "run" / "trajectory"))
    elif kind == "moved pca":
        moved = shutil.copytree(project / "run" / "trajectory", tmp_path / "way")
        plane = Subspace.pca(Trajectory.open(moved))
    else:
        direction = {name: torch.ones_like(p) for name, p in model.named_parameters()}
        other = {name: torch.randn_like(p) for name, p in model.named_parameters()}
        plane = Subspace(dict(model.named_parameters()), [direction, other])
    losslandscape.evaluate(objective, plane, Grid.square(5), path=tmp_path / "x.nc", quiet=True)
    if kind == "moved pca":
        moved.rename(tmp_path / "elsewhere")
    (project / "ran.txt").unlink(missing_ok=True)
    done = run("refine", tmp_path / "x.nc", *BOX, "--output", tmp_path / "y.nc", folder=project)
    assert done.returncode == 1
    assert "was made in Python, so the file does not name its model and data" in done.stderr
    assert not (project / "ran.txt").exists()
    typed = ["--model", "mine_to_refine:build", "--data", "mine_to_refine:load"]
    typed += ["--weights", "run/weights.pt"]
    if kind == "given":
        assert "losslandscape.refine(landscape, objective, subspace, bounds, ...)" in done.stderr
        return
    wanted = "--model package.module:build --data package.module:load"
    if kind == "moved pca":
        wanted += " --trajectory FOLDER"
        typed += ["--trajectory", "run/trajectory"]
    assert f"add {wanted} (and" in done.stderr
    done = run(
        "refine", tmp_path / "x.nc", *BOX, *typed, "--output", tmp_path / "y.nc", folder=project
    )
    assert done.returncode == 0, done.stderr
    refined = Landscape.open(tmp_path / "y.nc").provenance["refined"]
    assert refined["points"] > 0
    assert refined["largest_difference"] < 1e-6  # the first had as many threads as torch chose


@pytest.mark.parametrize(
    ("kind", "verb"),
    [("pca", ("verify", "--noise", "none")), ("between", ("flatness", "--sharpness"))],
)
def test_planes_made_from_python_are_measured_again(project, tmp_path, kind, verb):
    import mine_to_refine

    model = mine_to_refine.build()
    weights = torch.load(project / "run" / "weights.pt")
    model.load_state_dict(weights)
    objective = Objective(model, "cross_entropy", mine_to_refine.load(), batch_size=32)
    way, code = tmp_path / "way", ["--model=mine_to_refine:build", "--data=mine_to_refine:load"]
    if kind == "pca":
        shutil.copytree(project / "run" / "trajectory", way)
        plane, again = Subspace.pca(Trajectory.open(way)), ["--trajectory", tmp_path / "moved"]
    else:
        other = mine_to_refine.build()
        other.load_state_dict({name: 1.5 * tensor for name, tensor in weights.items()})
        torch.save(other.state_dict(), tmp_path / "other.pt")
        plane = Subspace.between(model, other)
        again = ["--models", "run/weights.pt", tmp_path / "other.pt"]
    grid = Grid.rectangle([5] * plane.dimensions, [(-1, 1)] * plane.dimensions)
    losslandscape.evaluate(objective, plane, grid, path=tmp_path / "x.nc", quiet=True)
    told = [verb[0], tmp_path / "x.nc", *verb[1:], *code, "--overwrite"]
    if kind == "pca":
        done = run(*told, folder=project)  # the file says where the checkpoints are
        assert done.returncode == 0, done.stderr
        way.rename(tmp_path / "moved")
    done = run(*told, folder=project)
    assert done.returncode == 1
    assert ("--trajectory FOLDER" if kind == "pca" else "--models FILE FILE") in done.stderr
    done = run(*told, *again, folder=project)
    assert done.returncode == 0, done.stderr


def test_checkpoints_of_another_run_where_the_file_says_are_refused(project, tmp_path):
    import mine_to_refine

    way = shutil.copytree(project / "run" / "trajectory", tmp_path / "way")
    model = mine_to_refine.build()
    objective = Objective(model, "cross_entropy", mine_to_refine.load(), batch_size=32)
    plane = Subspace.pca(Trajectory.open(way))
    losslandscape.evaluate(objective, plane, Grid.square(3), path=tmp_path / "x.nc", quiet=True)
    shutil.rmtree(way)
    with TrajectoryRecorder(model, way) as recorder:
        for step in range(4):
            recorder.record(step)
            for parameter in model.parameters():
                parameter.data.add_(torch.randn_like(parameter))
    code = ["--model=mine_to_refine:build", "--data=mine_to_refine:load"]
    done = run("verify", tmp_path / "x.nc", "--noise", "none", *code, folder=project)
    assert done.returncode == 1
    assert "the given subspace is not the landscape's" in done.stderr
    assert f"{way.name})" in done.stderr
    assert not (tmp_path / "x_verification").exists()


def test_what_is_typed_wrong_is_a_message(project):
    file = "results/coarse.nc"
    before = (project / file).read_bytes()
    for arguments, message, status in (
        ((*BOX[:-1], "--output", "y.nc"), "must be two finite numbers", 2),
        (("--bounds", "a", "b", "c", "d", "--output", "y.nc"), "must be two finite numbers", 2),
        ((*BOX, "--output", "y.txt"), "must end in .nc or .llnc", 1),
        ((*BOX, "--output", file, "--overwrite"), "is an input of the same command", 1),
    ):
        done = run("refine", file, *arguments, "--trust-file", folder=project)
        assert done.returncode == status
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert (project / file).read_bytes() == before
    assert not (project / "ran.txt").exists()


@pytest.fixture
def slow(project, tmp_path):
    """A command that takes a while, by a loss that does."""
    names = [
        f"--{n}=mine_to_refine:{f}"
        for n, f in (("model", "build"), ("data", "load"), ("loss", "loss"))
    ]
    done = run(
        "surface", *names, "--weights", "run/weights.pt", "--grid", "6", "--output",
        tmp_path / "slow.nc", folder=project,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return ["refine", tmp_path / "slow.nc", *BOX, "--trust-file", "--output", tmp_path / "y.nc"]


def wait_for_records(journal, count, process, seconds=120):
    """Until a journal holds so many points."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists():
            header = Journal.header_of(journal)
            text = json.dumps(header).encode()
            size = journal.stat().st_size - len(text)
            if size > count * (header["record_bytes"] + 8):
                return
        time.sleep(0.05)
    pytest.fail(f"no {count} points in {seconds} s; exit code {process.poll()}")


def test_it_ends_when_its_starter_does_and_goes_on_later(slow, project, tmp_path):
    """The starter is killed; nothing of it is left but the pipe, which closes."""
    output = tmp_path / "y.nc"
    starter = (
        "import json, subprocess, sys, time\n"
        "child = subprocess.Popen(json.loads(sys.argv[1]), stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    child_command = command(*slow, "--end-with-input")
    process = subprocess.Popen(
        [sys.executable, "-c", starter, json.dumps(child_command)],
        cwd=project, env=environment(PAUSE="0.2"), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    child = int(process.stdout.readline())
    wait_for_records(journal_path(output), 3, process)
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 60
    while running(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(child)
    journal, records = Journal.resume(journal_path(output))
    journal.__exit__()
    assert 3 <= len(records) < 169
    done = run(*slow, folder=project)
    assert done.returncode == 0, done.stderr
    assert not journal_path(output).exists()
    refined = Landscape.open(output).provenance["refined"]
    assert refined["points"] == refined["equal"] == 16


def test_it_ends_by_itself_while_its_input_is_open(slow, project, tmp_path):
    with subprocess.Popen(
        command(*slow, "--end-with-input"), cwd=project, env=environment(),
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.wait(120) == 0, process.stderr.read()
        assert "Fatal" not in process.stderr.read()
    assert Landscape.open(tmp_path / "y.nc").finished


def running(pid):
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_file_shows_what_is_finished_while_it_is_computed(slow, project, tmp_path):
    """Read at two moments: finished values, NaN and status 0 elsewhere, more of them later."""
    output = tmp_path / "y.nc"
    with subprocess.Popen(
        command(*slow, "--end-with-input"), cwd=project, stdin=subprocess.PIPE,
        env=environment(PAUSE="0.1"),
    ) as process:  # fmt: skip
        seen: list = []
        for _ in range(2):
            least = 1 + int((seen[-1][1] == 1).sum()) if seen else 1
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                if output.exists():
                    with Dataset(output) as file:
                        file.set_auto_mask(False)
                        loss, status = file["loss"][:], file["status"][:]
                    if (status == 1).sum() >= least:
                        break
                time.sleep(0.1)
            seen.append((loss, status))
        process.stdin.close()
        process.wait()
    done = run(*slow, folder=project)
    assert done.returncode == 0, done.stderr
    whole = Landscape.open(output)
    assert (whole.status == 1).all()
    for loss, status in seen:
        assert 0 < (status == 1).sum() < status.size
        assert (status[status != 1] == 0).all()
        assert np.isnan(loss[status == 0]).all()
        np.testing.assert_array_equal(loss[status == 1], whole.values()[status == 1])
    assert (seen[1][1] == 1).sum() > (seen[0][1] == 1).sum()
