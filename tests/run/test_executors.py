"""Points through executors: the same bits, the job once a worker, failures that stop nobody."""

import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import losslandscape
from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.files.journal import journal_path
from losslandscape.point.evaluator import Evaluator
from losslandscape.run import executors
from losslandscape.run.executors import PointPool, process_pool

COMPUTE = str(Path(losslandscape.__file__).parents[1])
MODEL = """
import os, time
import torch

def build():
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm1d(7)
    return torch.nn.Sequential(torch.nn.Linear(5, 7), norm, torch.nn.Linear(7, 3))

def load():
    torch.manual_seed(1)
    return torch.randn(30, 5), torch.randint(0, 3, (30,))

def loss(model, batch):
    if "CALLS" in os.environ:
        with open(os.environ["CALLS"], "a") as file:
            file.write("call\\n")
    time.sleep(float(os.environ.get("PAUSE", "0")))
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""


class Linear(nn.Linear):
    """Fails, or ends its process, where a test says so; counts how often it was unpickled."""

    opened = 0
    trouble = staticmethod(lambda model: None)

    def __setstate__(self, state):
        type(self).opened += 1
        super().__setstate__(state)

    def forward(self, inputs):
        type(self).trouble(self)
        return super().forward(inputs)


@pytest.fixture
def problem(monkeypatch):
    torch.manual_seed(0)
    model = Linear(5, 3)
    monkeypatch.setattr(Linear, "opened", 0)
    data = torch.randn(30, 5), torch.randint(0, 3, (30,))
    return Objective(model, "cross_entropy", data, batch_size=30), Subspace.random(model)


def same(found, expected):
    for name in expected.fields:
        np.testing.assert_array_equal(found.values(name), expected.values(name))
    for name in expected.samples:
        np.testing.assert_array_equal(found.samples[name], expected.samples[name])


class Recorded(Executor):
    """An executor that lets calls through to another and notes which carried the job."""

    def __init__(self, inner):
        self.inner, self.carried = inner, []

    def submit(self, function, key, number, payload):
        self.carried.append(payload is not None)
        return self.inner.submit(function, key, number, payload)


def test_the_job_reaches_each_worker_once_and_not_with_every_point(problem):
    objective, plane = problem
    expected = evaluate(objective, plane, Grid.square(16), quiet=True)
    Linear.opened = 0
    with ThreadPoolExecutor(3) as inner:
        executor = Recorded(inner)
        same(evaluate(objective, plane, Grid.square(16), executor=executor, quiet=True), expected)
    assert 1 <= Linear.opened <= 3  # a thread may come too late for a point
    assert Linear.opened <= sum(executor.carried) < 12
    assert len(executor.carried) >= 256


def test_rounds_and_a_worker_that_joins_later(problem):
    objective, plane = problem
    expected = evaluate(objective, plane, Grid.square(6), quiet=True)

    class Growing(Recorded):
        """The second half of the calls goes to a worker that was not there before."""

        def submit(self, function, key, number, payload):
            if len(self.carried) == 80:
                self.inner = self.later
            return super().submit(function, key, number, payload)

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as later:
        executor = Growing(first)
        executor.later = later
        same(evaluate(objective, plane, Grid.square(6), executor=executor, quiet=True), expected)
        Linear.opened = 0
        finer = evaluate(objective, plane, Grid.square(16), executor=executor, quiet=True)
    same(finer, evaluate(objective, plane, Grid.square(16), quiet=True))
    assert Linear.opened == 2  # the earlier job's worker opens this one, and the later worker too


def test_an_adaptive_evaluation_through_processes_has_the_same_bits(images):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Tanh(), nn.Linear(8, 5))
    objective = Objective(model, "cross_entropy", images, batch_size=40)
    plane = Subspace.random(model)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        options = {"tolerance": 0.02, "quiet": True}
        expected = evaluate(objective, plane, Grid.square(21), **options)
        with process_pool(2) as pool:
            found = evaluate(objective, plane, Grid.square(21), executor=pool, **options)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found.status, expected.status)
    same(found, expected)


def fails_at(place):
    """Trouble at one point of the plane, told by the parameters there."""

    def trouble(model):
        if torch.equal(model.weight.flatten()[:4], place):
            raise ArithmeticError("the matrix is singular")

    return staticmethod(trouble)


@pytest.fixture
def failing(problem, monkeypatch):
    objective, plane = problem
    place = plane.parameters_at((1.0, 0.5))["weight"].flatten()[:4].clone()
    monkeypatch.setattr(Linear, "trouble", fails_at(place))
    return objective, plane


@pytest.mark.parametrize("threads", [0, 2])
def test_a_point_that_fails_is_told_and_tried_again_later(failing, tmp_path, monkeypatch, threads):
    objective, plane = failing
    path = tmp_path / "x.nc"
    grid = Grid.square(5)

    def run():
        with ThreadPoolExecutor(2) as executor:
            chosen = executor if threads else None
            return evaluate(objective, plane, grid, path=path, executor=chosen, quiet=True)

    with pytest.warns(UserWarning, match=r"1 points .*\(1, 0\.5\).*the matrix is singular.*again"):
        found = run()
    assert int((found.status == 0).sum()) == 1
    assert np.isnan(found.values("loss")[3, 4])
    [failed] = Landscape.open(path).provenance["failed_points"]
    assert failed["coordinates"] == [1.0, 0.5]
    assert "the matrix is singular" in failed["error"]
    monkeypatch.setattr(Linear, "trouble", staticmethod(lambda model: None))
    expected = evaluate(objective, plane, grid, quiet=True)
    found = run()
    same(found, expected)
    assert "failed_points" not in Landscape.open(path).provenance
    assert not journal_path(path).exists()


def test_a_failure_of_one_worker_alone_is_no_failure(problem, monkeypatch):
    objective, plane = problem
    expected = evaluate(objective, plane, Grid.square(5), quiet=True)
    failures = iter(range(2))

    def trouble(model):
        if next(failures, None) is not None:
            raise OSError("a bad moment")

    evaluator_thread = threading.get_ident()

    def elsewhere(model):
        if threading.get_ident() != evaluator_thread and model.training is False:
            frames = sys._current_frames()[threading.get_ident()]
            while frames is not None and frames.f_code.co_name != "attempt":
                frames = frames.f_back
            if frames is not None:  # measuring a point, not opening the job
                trouble(model)

    monkeypatch.setattr(Linear, "trouble", staticmethod(elsewhere))
    with ThreadPoolExecutor(2) as executor:
        found = evaluate(objective, plane, Grid.square(5), executor=executor, quiet=True)
    assert next(failures, None) is None  # both happened
    same(found, expected)


def test_an_adaptive_evaluation_goes_around_a_point_that_fails(failing):
    objective, plane = failing
    with pytest.warns(UserWarning, match="1 points could not be measured"):
        found = evaluate(objective, plane, Grid.square(21), tolerance=0.05, quiet=True)
    assert len(found.provenance["failed_points"]) == 1
    assert np.isfinite(found.values("loss")).all()
    assert found.status[15, 20] == 2  # interpolated, with its error


def test_when_all_points_fail_the_first_ten_are_enough(problem, monkeypatch):
    objective, plane = problem
    origin = objective.model.weight.detach().clone()

    def trouble(model):
        if not torch.equal(model.weight, origin):
            raise ArithmeticError("overflow")

    monkeypatch.setattr(Linear, "trouble", staticmethod(trouble))
    with pytest.raises(LossLandscapeError, match=r"the first 10 points all failed.*overflow"):
        evaluate(objective, plane, Grid.square(9), quiet=True)


def test_the_command_line_says_that_a_point_failed(own_model, monkeypatch, capsys):
    (own_model / "failing_model.py").write_text(
        "from own_model import build, load, loss\n"
        "calls = 0\n\n"
        "def failing(model, batch):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    if calls == 20:\n"
        "        raise ArithmeticError('singular')\n"
        "    return loss(model, batch)\n"
    )
    monkeypatch.syspath_prepend(str(own_model))
    command = ["surface", "--model", "failing_model:build", "--data", "failing_model:load"]
    command += ["--loss", "failing_model:failing", "--batch-size", "15", "--quiet"]
    command += ["--output", "x.nc", "--grid", "5"]
    with pytest.warns(UserWarning, match="could not be measured"):
        assert main(command) == 1
    assert "x.nc: 1 points could not be measured" in capsys.readouterr().err
    assert len(Landscape.open("x.nc").provenance["failed_points"]) == 1
    assert main(command) == 0
    assert Landscape.open("x.nc").finished
    assert not journal_path("x.nc").exists()


def test_a_worker_that_cannot_open_the_job_is_told(problem, monkeypatch):
    def refuse(self, key, payload):
        raise ModuleNotFoundError("No module named 'my_project'")

    monkeypatch.setattr(executors._Opened, "__init__", refuse)
    with (
        ThreadPoolExecutor(2) as pool,
        pytest.raises(
            LossLandscapeError,
            match=r"cannot open the job: .*'my_project'.*; workers need",
        ),
    ):
        evaluate(*problem, Grid.square(5), executor=pool, quiet=True)


def test_a_worker_of_another_kind_is_told(problem, monkeypatch):
    objective, plane = problem
    other = {**executors.computer(torch.device("cpu")), "torch": "1.0"}
    monkeypatch.setattr(executors, "computer", lambda device: other)
    with ThreadPoolExecutor(1) as pool, pytest.warns(UserWarning, match="torch 1.0 and not"):
        evaluate(objective, plane, Grid.square(3), executor=pool, quiet=True)


def off_a_boundary(tensor):
    """The values in memory that begins 4 bytes behind a boundary of 64, as a file's may."""
    memory = torch.empty(tensor.numel() + 32)
    memory = memory[(-memory.data_ptr() // 4) % 16 + 1 :][: tensor.numel()]
    own = torch.from_numpy(memory.numpy()).view(tensor.shape)
    assert own.untyped_storage().data_ptr() % 64 == 4
    return own.copy_(tensor)


@pytest.mark.parametrize("inputs", [64, 2048])  # of the second the weights move in place
def test_a_worker_has_the_bits_of_memory_that_begins_anywhere(inputs):
    torch.manual_seed(0)
    model = nn.Linear(inputs, 40)
    model.weight = nn.Parameter(off_a_boundary(model.weight.detach()))
    data = off_a_boundary(torch.randn(512, inputs)), torch.randint(0, 40, (512,))
    before = data[0].clone(), model.weight.detach().clone(), model.weight.data_ptr()
    objective = Objective(model, "cross_entropy", data, batch_size=500)
    plane = Subspace.random(model)
    sent = pickle.loads(pickle.dumps(objective))
    found = []
    for one in (objective, sent):
        with Evaluator(one, plane) as evaluator:
            assert evaluator.parameters._in_place is (inputs == 2048)
            places = [one.model.weight, *(batch[0] for batch in evaluator.batches.sets["train"])]
            offsets = [place.data_ptr() % 64 for place in places]
            found.append((offsets, evaluator.measure((0.5, 0.5))["train"]["loss"]))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert torch.equal(data[0], before[0])
    assert torch.equal(model.weight, before[1])
    assert model.weight.data_ptr() == before[2]


def test_an_executor_that_is_shut_down_or_broken_is_told(problem):
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(LossLandscapeError, match=r"accepts no more calls .*Make a new one"):
        evaluate(*problem, Grid.square(3), executor=executor, quiet=True)

    class Broken(Executor):
        def submit(self, *_):
            raise BrokenExecutor("a process ended")

    with pytest.raises(LossLandscapeError, match="the workers are lost"):
        evaluate(*problem, Grid.square(3), executor=Broken(), quiet=True)


def settings():
    """What is one for the whole process, and what is this thread's own."""
    backends = torch.backends
    found = [backends.cudnn.deterministic, backends.cudnn.benchmark, torch.get_num_threads()]
    if hasattr(backends.cudnn, "conv"):
        found += [backends.mkldnn.matmul.fp32_precision, backends.cuda.matmul.fp32_precision]
    return [*found, torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()]


@pytest.mark.parametrize("precision", [None, "bfloat16"])
@pytest.mark.parametrize("fails", [False, True])
def test_threads_leave_the_process_as_it_was(problem, precision, fails, monkeypatch):
    objective, plane = problem
    objective = Objective(
        objective.model, "cross_entropy", objective.sets["train"].stored()[0], precision=precision
    )
    if fails:
        monkeypatch.setattr(Linear, "trouble", staticmethod(lambda model: fails_in_a_thread()))
    with ThreadPoolExecutor(3) as executor:
        inside = [executor.submit(settings).result() for _ in range(3)]
        before = settings(), torch.get_rng_state()
        for _ in range(2):  # the second run opens the same job again
            if fails:
                with pytest.raises(LossLandscapeError, match="fails in a thread"):
                    evaluate(objective, plane, Grid.square(6), executor=executor, quiet=True)
            else:
                evaluate(objective, plane, Grid.square(6), executor=executor, quiet=True)
            assert settings() == before[0]
            assert torch.equal(torch.get_rng_state(), before[1])
            assert [executor.submit(settings).result() for _ in range(3)] == inside
    assert executors._open_here == []


def fails_in_a_thread():
    if threading.current_thread() is not threading.main_thread():
        raise ValueError("fails in a thread")


def test_threads_do_not_take_each_others_random_numbers():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 4)).eval()
    model[2].train()
    data = torch.randn(2000, 8), torch.randint(0, 4, (2000,))
    objective = Objective(model, "cross_entropy", data, modes="own", batch_size=100)
    plane = Subspace.random(model)
    expected = evaluate(objective, plane, Grid.square(7), quiet=True)
    with ThreadPoolExecutor(3) as executor:
        found = evaluate(objective, plane, Grid.square(7), executor=executor, quiet=True)
    same(found, expected)
    assert found.provenance["determinism"]["random_numbers"] == ["torch"]
    assert found.provenance["determinism"]["bit_equal"]


def test_lost_processes_are_told(problem, monkeypatch):
    class Broken(Executor):
        def submit(self, *_):
            future = Future()
            future.set_exception(BrokenExecutor("a process ended"))
            return future

    with pytest.raises(LossLandscapeError, match=r"the workers are lost .*goes on from there"):
        evaluate(*problem, Grid.square(3), executor=Broken(), quiet=True)


def test_a_worker_process_that_is_killed_costs_no_finished_point(own_model):
    command = [sys.executable, "-m", "losslandscape"]
    command += surface("killed.nc", "--grid", "9", "--workers", "2")
    environment = {**os.environ, "PYTHONPATH": COMPUTE, "PAUSE": "0.02"}
    run = subprocess.Popen(
        command, cwd=own_model, env=environment, stderr=subprocess.PIPE, text=True
    )
    journal = journal_path("killed.nc")
    header = 0
    while run.poll() is None:
        header = header or (journal.stat().st_size if journal.exists() else 0)
        if header and journal.stat().st_size > header + 1000:
            break
        time.sleep(0.01)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    if not children.exists():
        run.kill()
        pytest.skip("no /proc to find the workers in")
    for child in map(int, children.read_text().split()):
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, 9)
            break
    errors = run.communicate(timeout=120)[1]
    assert run.returncode == 1
    assert "the workers are lost" in errors
    assert "Traceback" not in errors
    assert journal.stat().st_size > header
    assert run_surface(own_model, "killed.nc", "--grid", "9", "--workers", "2").returncode == 0
    assert run_surface(own_model, "one.nc", "--grid", "9").returncode == 0
    same(Landscape.open("killed.nc"), Landscape.open("one.nc"))


def test_what_an_executor_gives_up_is_a_failed_point(problem):
    class Losing(Executor):
        """Loses each call for point 4, as Dask does whose workers die of it."""

        def submit(self, function, key, number, payload):
            future = Future()
            if number == 4:
                future.set_exception(RuntimeError("KilledWorker"))
            else:
                future.set_result(function(key, number, payload))
            return future

    with pytest.warns(UserWarning, match=r"1 points could not be measured.*KilledWorker"):
        found = evaluate(*problem, Grid.square(3), executor=Losing(), quiet=True)
    assert int((found.status == 0).sum()) == 1


def test_use_accounts_for_all_time(problem, monkeypatch):
    objective, plane = problem
    monkeypatch.setattr(Linear, "trouble", staticmethod(lambda model: time.sleep(0.01)))
    pools = []
    monkeypatch.setattr(
        "losslandscape.run.evaluation.PointPool", lambda *a: pools.append(PointPool(*a)) or pools[0]
    )
    with ThreadPoolExecutor(2) as executor:
        evaluate(objective, plane, Grid.square(5), executor=executor, quiet=True)
    use = pools[0].use
    assert use.workers == 2
    assert use.measuring >= 25 * 0.01
    assert use.measuring + use.ends + use.between <= use.total * 1.001


@pytest.fixture
def own_model(tmp_path, monkeypatch):
    (tmp_path / "own_model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def surface(output, *options):
    command = ["surface", "--model", "own_model:build", "--data", "own_model:load"]
    command += ["--loss", "own_model:loss", "--batch-size", "15", "--threads", "1"]
    return [*command, "--output", output, *options]


def run_surface(folder, output, *options, launcher=(), **environment):
    command = [*launcher, sys.executable, "-m", "losslandscape", *surface(output, *options)]
    environment = {**os.environ, "PYTHONPATH": COMPUTE, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_mpi_gives_the_same_bits(own_model):
    pytest.importorskip("mpi4py")
    if shutil.which("mpirun") is None:
        pytest.skip("no mpirun")
    launcher = ["mpirun", "-n", "3", "--oversubscribe", "--allow-run-as-root"]
    assert run_surface(own_model, "one.nc", "--grid", "9").returncode == 0
    done = run_surface(own_model, "mpi.nc", "--grid", "9", "--mpi", launcher=launcher, PAUSE="0.05")
    assert done.returncode == 0, done.stderr
    assert "2 workers" in done.stderr
    same(Landscape.open(own_model / "mpi.nc"), Landscape.open(own_model / "one.nc"))
    again = run_surface(own_model, "mpi.nc", "--grid", "9", "--mpi", launcher=launcher)
    assert again.returncode != 0
    assert "exists; choose another name" in again.stderr
    alone = run_surface(own_model, "alone.nc", "--mpi")
    assert alone.returncode == 1
    assert "the job has only this process; start it with 'mpirun" in alone.stderr


def test_dask_with_a_worker_killed_and_one_that_joins(own_model, monkeypatch):
    distributed = pytest.importorskip("distributed")
    assert run_surface(own_model, "one.nc", "--grid", "15").returncode == 0
    # for the workers, which then have the time to be killed
    monkeypatch.setenv("PAUSE", "0.02")
    monkeypatch.setenv("CALLS", str(own_model / "calls"))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        command = [sys.executable, "-m", "losslandscape"]
        command += surface("dask.nc", "--grid", "15", "--dask", cluster.scheduler_address)
        environment = {**os.environ, "PYTHONPATH": COMPUTE}
        del environment["CALLS"], environment["PAUSE"]
        with distributed.Client(cluster) as client:
            first = next(iter(client.run(os.getpid).values()))
            run = subprocess.Popen(
                command, cwd=own_model, env=environment, stderr=subprocess.PIPE, text=True
            )
            journal = journal_path("dask.nc")
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and run.poll() is None:
                if journal.exists() and journal.stat().st_size > 8000:
                    break
                time.sleep(0.02)
            assert run.poll() is None
            os.kill(first, 9)  # its nanny starts another in its place
            cluster.scale(3)
            errors = run.communicate(timeout=120)[1]
            assert run.returncode == 0, errors
            workers = set(client.run(os.getpid).values())
    assert first not in workers
    assert "workers: " in errors
    workers_seen = int(errors.split(" workers: ")[0].split()[-1])
    assert workers_seen >= 3
    # two batches a point, one when a worker opens the job; the killed worker's results that had
    # not been fetched and its point under way are measured again
    calls = len((own_model / "calls").read_text().splitlines())
    repeated = calls - 2 * 225 - workers_seen
    print(f"{repeated} calls of the loss repeated for {225} points")
    assert 0 <= repeated < 60
    same(Landscape.open("dask.nc"), Landscape.open("one.nc"))


def test_dask_where_nobody_answers(own_model, monkeypatch, capsys):
    pytest.importorskip("distributed")
    monkeypatch.setattr("losslandscape.cli.executors._DASK_SECONDS", 1)
    assert main(surface("x.nc", "--dask", "tcp://127.0.0.1:9")) == 1
    assert "no scheduler answers at this address" in capsys.readouterr().err
    assert main(surface("x.nc", "--dask", "missing.json")) == 1
    assert "no such scheduler file" in capsys.readouterr().err
