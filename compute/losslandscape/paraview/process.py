"""Run a ParaView job in a separate process.

ParaView has its own Python, NumPy and VTK, which must not be mixed with those of the user's
environment: nothing here imports ParaView, and the process starts without the environment's paths.
A job and its result are JSON files; an error comes back as one `LossLandscapeError`.

Example::

    from losslandscape.paraview import process

    report = process.render(["vgg11.nc"], "trajectory", "vgg11.png")

As a program, this module runs any script with ParaView's Python, under a virtual screen if there
is no other:
``python -m losslandscape.paraview.process state_files/render_all.py --output figures``.
"""

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import explained, replace_file
from losslandscape.files.temporary_folders import temporary_folder
from losslandscape.paraview.programs import clean_environment, find_pvpython, plugin_path

# figure -> the numbers of landscapes that it takes
FIGURES: dict[str, tuple[int, ...]] = {
    "curve": (1, 2),
    "surface": (1, 2),
    "contours": (1, 2),
    "isosurfaces": (1, 2),
    "volume": (1, 2),
    "trajectory": (1, 2),
    "topology": (1,),
    "flatness": (1, 2),
    "compare": (2,),
    "panels": tuple(range(2, 10)),
    "curvature": (1,),
    "trust": (1,),
}

Paths = Iterable[str | os.PathLike[str]]

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_ANSWER_SECONDS = 3.0  # for an X server on another machine
# VTK draws off screen, but Debian's build still needs an X server for its OpenGL context.
_VIRTUAL_SCREEN = ("-screen", "0", "2560x1600x24", "-nolisten", "tcp", "-noreset")


def check() -> None:
    """Print the path of the ParaView that will be used, or exit with the reason why there is none.

    Raises:
        SystemExit: there is no ParaView, or no screen for it, not even a virtual one.
    """
    try:
        program = find_pvpython()
        with screen():
            print(program)
    except LossLandscapeError as error:
        raise SystemExit(str(error)) from error


def fitting_figure(figure: str | None, files: Sequence[str | os.PathLike[str]]) -> str | None:
    """Choose the figure for some landscapes.

    Args:
        figure: one of `FIGURES`. None means `default` for one landscape (`curve`, `surface` or
            `isosurfaces`, by its number of directions) and `compare` for two.
        files: the landscapes.

    Returns:
        The figure's name; None if `figure` is None and no figure takes that many landscapes.

    Raises:
        LossLandscapeError: the figure takes another number of landscapes.

    >>> fitting_figure(None, ["a.nc", "b.nc"])
    'compare'
    """
    if figure is None:
        return {1: "default", 2: "compare"}.get(len(files))
    counts = FIGURES.get(figure, (1,))
    if len(files) not in counts:
        words = " or ".join(str(count) for count in counts)
        if len(counts) > 2:
            words = f"{counts[0]} to {counts[-1]}"
        raise LossLandscapeError(
            f"--figure {figure} takes {words} landscape{'s' * (counts != (1,))}, not "
            f"{len(files)}: {', '.join(str(file) for file in files)}"
        )
    return figure


def render(
    input_files: Paths,
    figure: str | None,
    output: str | os.PathLike[str] | None,
    size: tuple[int, int] | None = None,
    options: Mapping[str, Any] | None = None,
    state: str | os.PathLike[str] | None = None,
    dpi: float | None = None,
    transparent: bool = False,
) -> dict[str, Any]:
    """Render a figure of landscapes to a file and, optionally, to a ParaView state file.

    Args:
        input_files: the landscapes, as many as `FIGURES` says: each a `.nc` file, a `surface.vti`,
            or a folder written by `Landscape.export`.
        figure: a name in `FIGURES`; None or `default` for `curve`, `surface` or `isosurfaces`, by
            the number of directions.
        output: the picture (`.png`, `.pdf`, `.svg`), glTF (`.glb`, `.gltf`) or web page (`.html`)
            to write; None for none.
        size: width and height in pixels; None for the figure's own size.
        options: options of the figure: `title` (of two landscapes `titles`), `techniques`, `array`,
            `log`, `floor`, `ceiling`, `levels`, `evaluated`, `persistence`, `steps`, `own_losses`,
            `view`, `colours`, `titled`, `equal_units`. Values of None are ignored.
        state: the `.pvsm` file to write; it names the inputs relative to its folder.
        dpi: the pixels per inch to record in a PNG; None to record nothing.
        transparent: draw a PNG without a background.

    Returns:
        dict: `picture`, `state`; for glTF and web pages `triangles` and `bytes`; the `scale`; the
            `caption`; and for each of `panels` its holes and the largest difference between exact
            values and the drawn surface.

    Raises:
        LossLandscapeError: there is no ParaView, an input is not a landscape, or an option does
            not fit the figure.
    """
    job = {
        "action": "figure",
        "figure": figure,
        "inputs": [_absolute(path) for path in input_files],
        "output": _absolute(output),
        "state": _absolute(state),
        "size": list(size) if size else None,
        "options": dict(options or {}),
        "dpi": dpi,
        "transparent": transparent,
    }
    return _written(job, ("output", "state"))


def render_state(
    state: str | os.PathLike[str],
    output: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    dpi: float | None = None,
    transparent: bool = False,
    layout: str | None = None,
    trust: bool = False,
) -> Path:
    """Render a ParaView state file to a file; see `render` for the other arguments.

    Args:
        state: a `.pvsm` file, or a `.png` that carries its state.
        layout: the name of the layout to draw; None if the state has only one.
        trust: allow a state with objects that may run code, and data outside its folder.

    Returns:
        The file that was written.

    Raises:
        LossLandscapeError: there is no ParaView; the state, its data or a plugin is missing; or the
            state may run code and is not trusted.
    """
    job = {
        "action": "state",
        "state": _absolute(state),
        "output": _absolute(output),
        "size": list(size) if size else None,
        "dpi": dpi,
        "transparent": transparent,
        "layout": layout,
        "trust": trust,
    }
    return Path(_written(job, ("output",))["picture"])


def _written(job: dict[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
    """The report of a job that writes to temporary names first; then its outputs are replaced."""
    names: dict[str, str] = {}
    with ExitStack() as stack:
        for key in outputs:
            if (final := job[key]) is not None:
                temporary = stack.enter_context(replace_file(final, Path(final).suffix))
                job[key] = str(temporary)
                names[str(temporary)] = final
        try:
            report = run_job(job)
        except LossLandscapeError as error:
            raise LossLandscapeError(_with_names(str(error), names)) from error
    return {
        key: _with_names(value, names) if isinstance(value, str) else value
        for key, value in report.items()
    }


def _with_names(text: str, names: Mapping[str, str]) -> str:
    for temporary, final in names.items():
        text = text.replace(temporary, final)
    return text


def run_job(job: Mapping[str, Any], timeout: float = 600.0) -> dict[str, Any]:
    """Run a job in a ParaView process; see `losslandscape_paraview/job.py` for its keys.

    Args:
        job: all keys except `result`, with values representable as JSON.
        timeout: seconds after which ParaView is stopped.

    Returns:
        The job's report. What ParaView was warned of, such as a version that was not tried, is a
        Python warning here.

    Raises:
        LossLandscapeError: the job failed; if ParaView crashed, the message has its last output.
    """
    worker = plugin_path().parent / "losslandscape_paraview" / "job.py"
    with temporary_folder() as folder:
        job_file, result_file = folder / "job.json", folder / "result.json"
        try:
            job_file.write_text(json.dumps({**job, "result": str(result_file)}), encoding="utf-8")
        except OSError as error:
            raise explained(error, job_file) from error
        try:
            done = run_script(worker, [str(job_file)], timeout=timeout, capture=True)
        finally:  # a process that was stopped in a write leaves its temporary file
            _remove_unfinished(job.get("output"), job.get("state"))
        if not result_file.is_file():
            words = "\n".join((done.stderr or done.stdout or "").strip().splitlines()[-8:])
            raise LossLandscapeError(
                f"ParaView crashed (exit code {done.returncode}): {words or 'it printed nothing'}"
            )
        result = json.loads(result_file.read_text(encoding="utf-8"))
    for text in result.get("warnings", ()):
        warnings.warn(text, stacklevel=3)
    if "error" in result:
        raise LossLandscapeError(result["error"])
    return result["report"]


def run_script(
    script: str | os.PathLike[str],
    arguments: Sequence[str] = (),
    timeout: float | None = None,
    capture: bool = False,
) -> "subprocess.CompletedProcess[str]":
    """Run a script with ParaView's Python, under a virtual screen if there is no other.

    Args:
        script: a Python file.
        arguments: its command line arguments.
        timeout: seconds after which it is stopped; None for no limit.
        capture: return its output instead of passing it through.

    Returns:
        The finished process.

    Raises:
        LossLandscapeError: there is no ParaView, no virtual screen, or the time limit was exceeded.
    """
    command = [str(find_pvpython()), str(script), *arguments]
    environment = clean_environment()
    # Debian's ParaView starts Open MPI, which leaves a session folder behind in every run
    with screen() as display, temporary_folder() as folder:
        environment["TMPDIR"] = str(folder)
        if display:
            environment["DISPLAY"] = display
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.PIPE if capture else None,
            text=True,
            errors="replace",
            start_new_session=capture,  # a job's own processes can then be ended with it
            # VTK's handler of SIGTERM prints a stack, and may wait forever for a lock it holds
            preexec_fn=_end_with_parent(signal.SIGKILL),
        )
        try:
            out, error_text = process.communicate(timeout=timeout)
        except BaseException as error:
            _end(process, with_group=capture)
            if isinstance(error, subprocess.TimeoutExpired):
                raise LossLandscapeError(f"ParaView did not finish in {timeout:g} s") from error
            raise
        return subprocess.CompletedProcess(command, process.returncode, out, error_text)


def _end(process: "subprocess.Popen[str]", with_group: bool) -> None:
    """Kill a process, and the processes that it started."""
    with suppress(OSError):
        if with_group and hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()


def _remove_unfinished(*outputs: str | None) -> None:
    """Remove the temporary files of outputs, which `export/output_files.py` of the plugin names."""
    for output in outputs:
        if output is None:
            continue
        target = Path(os.path.realpath(output))
        name = re.compile(
            rf"\.{re.escape(target.stem[:100])}\.[0-9a-f]{{8}}{re.escape(target.suffix)}"
        )
        with suppress(OSError):
            for file in target.parent.iterdir():
                if name.fullmatch(file.name):
                    file.unlink(missing_ok=True)


def _end_with_parent(number: signal.Signals) -> "Callable[[], None] | None":
    """For a child process: be sent this signal by the kernel if this process dies; on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        prctl = ctypes.CDLL(None).prctl
    except (AttributeError, OSError):
        return None
    parent = os.getpid()

    def end_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died before
            os._exit(1)

    return end_with_parent


@contextmanager
def screen() -> Iterator[str | None]:
    """Provide a screen for ParaView: the existing one, or a virtual one inside the `with` block.

    Xvfb chooses a free display itself. `xvfb-run -a` finds one first and opens it later, so two
    of them started at the same time can choose the same display.

    Yields:
        The value for DISPLAY, or None if no display is needed (Windows, macOS).

    Raises:
        LossLandscapeError: Linux has no screen, and a virtual one cannot be started.
    """
    if not sys.platform.startswith("linux"):
        yield None
        return
    given = os.environ.get("DISPLAY")
    if given and answers(given):
        yield given
        return
    if shutil.which("Xvfb") is None:
        stale = f"; DISPLAY is {given}, where no X server answers" if given else ""
        raise LossLandscapeError(
            "ParaView needs a screen: set DISPLAY, or install a virtual screen "
            f"(Debian, Ubuntu: `apt install xvfb`){stale}"
        )
    if given:
        print(
            f"DISPLAY is {given}, where no X server answers: using a virtual screen",
            file=sys.stderr,
        )
    reading, writing = os.pipe()
    # Without -noreset the server restarts when its last window closes, and refuses connections
    # in the meantime.
    command = ["Xvfb", "-displayfd", str(writing), *_VIRTUAL_SCREEN]
    server = subprocess.Popen(
        command, pass_fds=(writing,), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=_end_with_parent(signal.SIGTERM),  # it removes its lock file
    )  # fmt: skip
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()
        if not number:
            words = server.communicate()[1].strip().splitlines()
            reason = words[-1] if words else "it printed no reason"
            raise LossLandscapeError(f"Xvfb did not start: {reason}")
        yield f":{number}"
    finally:
        server.terminate()
        server.communicate()


def answers(display: str) -> bool:
    """Whether an X server accepts connections at a DISPLAY, such as `:0` or `localhost:10.0`.

    A display that cannot be read as one is left to ParaView, as is one of another protocol.

    >>> answers(":54321")
    False
    """
    match = re.fullmatch(r"(?:(\w+)/)?([\w.-]*):(\d+)(?:\.\d+)?", display)
    if match is None or match[1] not in (None, "unix", "tcp"):
        return True
    host, number = match[2], int(match[3])
    if host in ("", "unix"):
        name = f"/tmp/.X11-unix/X{number}"
        # the abstract name is Linux's second address of the same server
        places: list[tuple[int, Any]] = [
            (socket.AF_UNIX, name),
            (socket.AF_UNIX, f"\0{name}"),
        ]
    else:
        places = [(socket.AF_INET, (host, 6000 + number)), (socket.AF_INET6, (host, 6000 + number))]
    for family, address in places:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(_ANSWER_SECONDS)
                connection.connect(address)
                return True
        except (OSError, OverflowError):
            continue
    return False


def _absolute(path: str | os.PathLike[str] | None) -> Any:
    return None if path is None else os.path.abspath(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a script with ParaView's Python, and return the script's exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        print("usage: python -m losslandscape.paraview.process SCRIPT [ARGUMENT ...]")
        return 2
    try:
        return run_script(arguments[0], arguments[1:]).returncode
    except LossLandscapeError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
