"""How a command ends: its exit status, one sentence, and no traceback of ours."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.cli import command_process

from losslandscape import LossLandscapeError, __version__, cli
from losslandscape.cli import arguments as shared
from losslandscape.cli import info, main
from losslandscape.cli.stop_signals import StopSignals


def raising(error):
    def run(_):
        raise error

    return run


def test_a_fault_of_ours_is_one_line_and_a_file(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(info, "run", shared.require_pair)  # which takes other arguments
    monkeypatch.chdir(tmp_path)
    assert main(["info", "x.nc"]) == cli.EXIT_FAULT == 70
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"losslandscape info: this is a fault of losslandscape {__version__}, ")
    assert "TypeError: require_pair() missing 2 required positional arguments" in err
    assert "(cli/__init__.py:" in err
    assert len(err.splitlines()) == 1
    (file,) = tmp_path.iterdir()
    assert f"the file {file.name}, which has the details" in err
    text = file.read_text()
    assert "command: losslandscape info x.nc" in text
    assert "Traceback (most recent call last)" in text
    assert f"losslandscape {__version__}, Python 3." in text


def test_the_file_of_a_fault_is_beside_the_output(monkeypatch, tmp_path, capsys):
    from losslandscape.cli import topology

    monkeypatch.setattr(topology, "run", shared.require_pair)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    assert main(["topology", "x.nc", "--output", "results/topology"]) == 70
    (file,) = (tmp_path / "results").iterdir()
    assert str(file.relative_to(tmp_path)) in capsys.readouterr().err
    assert main(["topology", "x.nc", "--output", "no such folder/topology"]) == 70
    assert len(list(tmp_path.glob("losslandscape-fault-*.txt"))) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (LossLandscapeError("the sentence"), "losslandscape info: the sentence"),
        (SystemExit(0), "your code ended the process with sys.exit(0) ("),
        (KeyboardInterrupt(), "your code raised KeyboardInterrupt ("),
        (RecursionError("deep"), "your code calls itself without end"),
        (ValueError("odd"), "your code raised ValueError: odd ("),  # of this file, not ours
        (MemoryError(), "the computer's memory is used up"),
        (ImportError("libGL.so.1 is missing"), "cannot be imported: libGL.so.1 is missing"),
        (FileNotFoundError(2, "No such file or directory", "y"), "y: No such file or directory"),
        (OSError(28, "No space left on device"), "no space left on the disk"),
    ],
)
def test_what_is_no_fault_of_ours(monkeypatch, capsys, error, words):
    monkeypatch.setattr(info, "run", raising(error))
    assert main(["info", "x.nc"]) == cli.EXIT_ERROR
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


def test_folders_that_are_gone(monkeypatch, tmp_path, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["info", "x.nc"]) == 1
    assert "the working folder no longer exists; change to another one" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(gone))
    monkeypatch.setattr(info, "run", raising(FileNotFoundError(2, "No such file", str(gone / "x"))))
    assert main(["info", "x.nc"]) == 1
    assert "no folder for temporary files can be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("SIGINT", 130, "interrupted"),
        ("SIGTERM", 143, "ended by SIGTERM"),
        ("SIGHUP", 129, "ended by SIGHUP, because its terminal closed"),
    ],
)
def test_signals(monkeypatch, capsys, name, status, words):
    before = signal.getsignal(getattr(signal, name))

    def run(_):
        signal.raise_signal(getattr(signal, name))

    monkeypatch.setattr(info, "run", run)
    assert main(["info", "x.nc"]) == status
    said, again = capsys.readouterr().err.strip().splitlines()
    assert said == f"losslandscape info: {words}; nothing was finished. To start again:"
    assert again.split() == ["losslandscape", "info", "x.nc"]
    assert signal.getsignal(getattr(signal, name)) is before


def test_a_signal_that_a_library_makes_another_error_of(monkeypatch, capsys):
    def run(_):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("numpy.core.multiarray failed to import") from None

    monkeypatch.setattr(info, "run", run)
    assert main(["info", "x.nc"]) == 130
    assert "interrupted; the same command continues, or starts again:" in capsys.readouterr().err


def test_a_signal_that_is_dropped_comes_again():
    def drop_and_wait():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            pass
        else:
            pytest.fail("not interrupted")
        time.sleep(20)

    with StopSignals() as signals, pytest.raises(KeyboardInterrupt):
        drop_and_wait()
    assert signals.received == signal.SIGTERM


def test_cleaning_up_is_not_interrupted_by_the_same_signal():
    cleaned = []

    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0.8)  # it comes again in the meantime
            cleaned.append(1)

    with StopSignals(), pytest.raises(KeyboardInterrupt):
        work()
    assert cleaned


def test_a_signal_that_still_comes_again_meets_no_handler_of_before():
    met = []
    before = signal.signal(signal.SIGTERM, lambda *_: met.append(1))
    kill = os.kill

    def late(*arguments):
        time.sleep(0.3)
        kill(*arguments)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "kill", late)
            with StopSignals(), contextlib.suppress(KeyboardInterrupt):
                try:
                    signal.raise_signal(signal.SIGTERM)
                finally:
                    time.sleep(0.4)  # until the first of these begins
            time.sleep(0.5)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert met == []


def test_a_signal_while_nobody_reads_the_last_output(tmp_path):
    program = (
        "import os, sys, losslandscape.cli.info as info\n"
        "from losslandscape.cli import main\n"
        "def run(arguments):\n"
        "    os.set_blocking(1, False)\n"
        "    try:\n        while True: os.write(1, bytes(4096))\n"
        "    except BlockingIOError: os.set_blocking(1, True)\n"
        "    print('the last line')\n"
        "    print('done', file=sys.stderr, flush=True)\n"
        "    return 0\n"
        "info.run = run\n"
        "sys.argv = ['losslandscape', 'info', 'x.nc']\n"
        "sys.exit(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    try:
        assert process.stderr.readline() == "done\n"
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 74
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_sigterm_at_any_line_of_the_way_in_and_out_ends_a_command_in_order():
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("signal_at_every_line.py")],
        capture_output=True, text=True, check=True, env=command_process.environment(),
    )  # fmt: skip
    *ended, undisturbed = json.loads(done.stdout)
    assert undisturbed == [0, True, ""]
    assert len(ended) > 50
    for status, ran, said in ended:
        assert "Traceback" not in said
        # before any handler is there, the system ends it
        assert status in ((143, 74, 0) if ran else (143, -signal.SIGTERM)), (status, ran, said)
    assert {status for status, *_ in ended} == {143, 74, 0, -signal.SIGTERM}


def test_sigterm_in_an_exec_of_text_as_that_of_a_dataclass(tmp_path):
    text = "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(20)"
    program = (
        "import sys, losslandscape.cli.info as info\n"
        "from losslandscape.__main__ import main\n"
        f"info.run = lambda _: exec({text!r})\n"
        "sys.argv = ['losslandscape', 'info', 'x.nc']\n"
        "sys.exit(main())\n"
    )
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "program"], capture_output=True, text=True, cwd=tmp_path,
        env=command_process.environment(),
    )  # fmt: skip
    assert (done.returncode, done.stderr.split(";")[0]) == (
        143, "\nlosslandscape info: ended by SIGTERM",
    )  # fmt: skip


def test_in_another_thread_nothing_is_changed():
    found = []

    def run():
        with StopSignals():
            found.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before]


# in processes of their own: the ends of standard streams


def _shell(line, folder):
    package = str(Path(cli.__file__).parents[2])
    return subprocess.run(
        ["bash", "-c", f"run() {{ '{sys.executable}' -m losslandscape \"$@\"; }}; {line}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": package, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("streams")
    (place / "own.py").write_text(
        "import torch\n"
        "def build():\n    return torch.nn.Linear(3, 3)\n"
        "def load():\n    print('loading')\n    return torch.zeros(6, 3), torch.arange(6) % 3\n"
    )
    return place


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize(
    "ends", ["> /dev/full", "<&- >&- 2>&-", "2>&1 | true; exit ${PIPESTATUS[0]}"]
)
def test_streams_that_cannot_be_written_stop_no_work(folder, ends):
    surface = "run surface --model own:build --data own:load --grid 3 --overwrite --output x.nc"
    done = _shell(f"{surface} {ends}", folder)
    assert done.returncode == cli.EXIT_NOT_PRINTED == 74
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr
    from losslandscape import Landscape

    assert Landscape.open(folder / "x.nc").grid.size == 9
    (folder / "x.nc").unlink()
    assert not list(folder.glob("x.nc*"))


def test_help_and_errors_that_cannot_be_written(folder):
    assert _shell("run --help >&-", folder).returncode == 74
    assert _shell("run bake 2>&-", folder).returncode == 2


@pytest.mark.parametrize("setting", ["PYTHONIOENCODING=ascii", "LC_ALL=C PYTHONUTF8=0"])
def test_names_that_the_terminal_cannot_show(folder, setting):
    done = _shell(f"export {setting}; run info $'\\u00e9\\xff.nc'", folder)
    assert done.returncode in (1, 2)
    assert ".nc" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_deleted_working_folder(folder):
    (folder / "gone").mkdir()
    done = _shell("cd gone; rmdir ../gone; run info x.nc", folder)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "losslandscape info: the working folder no longer exists; change to another one and start "
        "again"
    ]
