"""Have ParaView do a job in a process of its own.

ParaView brings its own Python, NumPy and VTK, which must not meet those of the user's environment:
nothing here imports ParaView, and the process is started without the environment's paths. A job
and its result are JSON files; what goes wrong comes back as one `LossLandscapeError`.

Example::

    from losslandscape.paraview import process

    report = process.render(["vgg11.nc"], "trajectory", "vgg11.png")

Run as a module, it runs any script with ParaView's Python, under a virtual screen where there is
no other: ``python -m losslandscape.paraview.process state_files/render_all.py --output figures``.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from losslandscape.errors import LossLandscapeError
from losslandscape.paraview.programs import clean_environment, find_pvpython, plugin_path

# figure -> how many landscapes it takes
FIGURES: dict[str, tuple[int, ...]] = {
    "curve": (1,),
    "surface": (1,),
    "contours": (1,),
    "isosurfaces": (1,),
    "volume": (1,),
    "trajectory": (1,),
    "topology": (1,),
    "flatness": (1, 2),
    "compare": (2,),
}

Paths = Iterable[str | os.PathLike[str]]

# VTK draws off screen, but Debian's build still asks an X server for its OpenGL context.
_VIRTUAL_SCREEN = ("-screen", "0", "2560x1600x24", "-nolisten", "tcp", "-noreset")


def check() -> None:
    """Print which ParaView will be used; end the program where there is none, saying why.

    Raises:
        SystemExit: no ParaView, or no screen for it and no virtual one.
    """
    try:
        program = find_pvpython()
        with screen():
            print(program)
    except LossLandscapeError as error:
        raise SystemExit(str(error)) from error


def fitting_figure(figure: str | None, files: Sequence[str | os.PathLike[str]]) -> str | None:
    """The figure to draw of some landscapes.

    Args:
        figure: one of `FIGURES`; None for `default` of one landscape (its first of `curve`,
            `surface`, `isosurfaces`, as the number of directions asks for) and `compare` of two.
        files: the landscapes.

    Returns:
        None where no figure was asked for and none takes so many.

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
    """Render a figure of landscapes into a file, and on request into a ParaView state file.

    Args:
        input_files: as many landscapes as `FIGURES` says, each a `.nc` file, a `surface.vti`, or a
            folder that `Landscape.export` wrote.
        figure: a name in `FIGURES`; None, or `default`, for the first of one, two or three
            directions: `curve`, `surface`, `isosurfaces`.
        output: the picture (`.png`), glTF (`.glb`, `.gltf`) or web page (`.html`) to write; None
            for none.
        size: width and height in pixels; None for the figure's own.
        options: of the figure: `title` (`compare`, `flatness`: `titles`), `techniques`, `array`,
            `log`, `floor`, `ceiling`, `levels`, `evaluated`, `persistence`; None values are left
            out.
        state: the `.pvsm` to write, with the inputs named relative to it.
        dpi: the pixels an inch that a PNG states; None for no statement.
        transparent: a PNG without a background.

    Returns:
        dict: `picture`, `state`, the `triangles` and `bytes` of what is no PNG, the `scale`, and
            for each of `panels` its holes and the largest difference between exact values and the
            drawn surface.

    Raises:
        LossLandscapeError: there is no ParaView, an input is no landscape, an option does not fit.
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
    return run_job(job)


def render_state(
    state: str | os.PathLike[str],
    output: str | os.PathLike[str],
    size: tuple[int, int] | None = None,
    dpi: float | None = None,
    transparent: bool = False,
    layout: str | None = None,
    trust: bool = False,
) -> Path:
    """Render a ParaView state file into a file, a PNG of its own or of a given size; see `render`.

    Args:
        layout: the name of the layout to draw; None where the state has a single one.
        trust: the state may have objects that run code, and data outside of its folder.

    Raises:
        LossLandscapeError: there is no ParaView, the state, its data or a plugin is missing, or the
            state is not trusted and has what may run code.
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
    return Path(run_job(job)["picture"])


def run_job(job: Mapping[str, Any], timeout: float = 600.0) -> dict[str, Any]:
    """Do a job in a ParaView process; see `losslandscape_paraview/job.py` for its keys.

    Args:
        job: everything but `result`, ready for JSON.
        timeout: seconds after which ParaView is stopped.

    Returns:
        The job's report.

    Raises:
        LossLandscapeError: the job could not be done; ParaView's own words where it broke off.
    """
    worker = plugin_path().parent / "losslandscape_paraview" / "job.py"
    with tempfile.TemporaryDirectory(prefix="losslandscape-") as folder:
        job_file, result_file = Path(folder, "job.json"), Path(folder, "result.json")
        job_file.write_text(json.dumps({**job, "result": str(result_file)}), encoding="utf-8")
        done = run_script(worker, [str(job_file)], timeout=timeout, capture=True)
        if not result_file.is_file():
            words = "\n".join((done.stderr or done.stdout or "").strip().splitlines()[-8:])
            raise LossLandscapeError(
                f"ParaView broke off (exit code {done.returncode}): {words or 'it said nothing'}"
            )
        result = json.loads(result_file.read_text(encoding="utf-8"))
    if "error" in result:
        raise LossLandscapeError(result["error"])
    return result["report"]


def run_script(
    script: str | os.PathLike[str],
    arguments: Sequence[str] = (),
    timeout: float | None = None,
    capture: bool = False,
) -> "subprocess.CompletedProcess[str]":
    """Run a script with ParaView's Python, under a virtual screen where there is no other.

    Args:
        script: a Python file.
        arguments: its command line.
        timeout: seconds after which it is stopped; None for no limit.
        capture: return what it prints instead of passing it through.

    Raises:
        LossLandscapeError: there is no ParaView or no virtual screen, or the time was up.
    """
    command = [str(find_pvpython()), str(script), *arguments]
    environment = clean_environment()
    try:
        # Debian's ParaView starts Open MPI, which leaves a folder of its session in every run
        scratch = tempfile.TemporaryDirectory(prefix="losslandscape-", ignore_cleanup_errors=True)
        with screen() as display, scratch as folder:
            environment["TMPDIR"] = folder
            if display:
                environment["DISPLAY"] = display
            return subprocess.run(
                command,
                env=environment,
                timeout=timeout,
                capture_output=capture,
                text=True,
                errors="replace",
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise LossLandscapeError(f"ParaView did not finish in {timeout:g} s") from error


@contextmanager
def screen() -> Iterator[str | None]:
    """A screen for ParaView to draw on: the one there is, or a virtual one for the while.

    Xvfb is asked for a free display itself. `xvfb-run -a` looks for one first and takes it later,
    so that two of them started at once take the same.

    Yields:
        What DISPLAY must be, or None where no display is needed (Windows, macOS).

    Raises:
        LossLandscapeError: Linux without a screen, and no virtual one can be started.
    """
    if not sys.platform.startswith("linux"):
        yield None
        return
    if os.environ.get("DISPLAY"):
        yield os.environ["DISPLAY"]
        return
    if shutil.which("Xvfb") is None:
        raise LossLandscapeError(
            "no screen for ParaView to draw on: set DISPLAY, or install a virtual one "
            "(Debian, Ubuntu: `apt install xvfb`)"
        )
    reading, writing = os.pipe()
    # Without -noreset the server starts over when its last window closes, and turns away whoever
    # comes meanwhile.
    command = ["Xvfb", "-displayfd", str(writing), *_VIRTUAL_SCREEN]
    server = subprocess.Popen(
        command, pass_fds=(writing,), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()
        if not number:
            words = server.communicate()[1].strip().splitlines()
            raise LossLandscapeError(f"Xvfb did not start: {words[-1] if words else 'no reason'}")
        yield f":{number}"
    finally:
        server.terminate()
        server.communicate()


def _absolute(path: str | os.PathLike[str] | None) -> Any:
    return None if path is None else os.path.abspath(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a script with ParaView's Python; the exit code is the script's."""
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
