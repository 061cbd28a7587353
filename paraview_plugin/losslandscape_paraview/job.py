"""Does one job in a ParaView process and writes its result: `pvpython job.py job.json`.

The job is a JSON object. `losslandscape.paraview.process` writes it and reads the result, so the
user's Python and ParaView's never share a process. Its keys:

- `action`: `figure` (with `figure`, null for the one that fits, `inputs`, `output`, `state`,
  `size`, `options`) or `state` (with `state`, `output`, `size`, `layout`,
  `trust`); `output` is a picture, a glTF file or a web page, and of a picture are `dpi` and
  `transparent` (see `outputs.write_output`);
- `result`: the JSON file to write, `{"report": ...}` or `{"error": "one message for people"}`, both
  with `"warnings": [...]`.
"""

import json
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any


def _load_package():
    """This package alone: the folder around it may be a virtual environment's site-packages."""
    here = Path(__file__).resolve().parent
    # ParaView's Python put this folder first, where `style` and the like would hide others
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    spec = PathFinder.find_spec(here.name, [str(here.parent)])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[here.name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[here.name])


def do(job):
    """Do a job; see the module. Return the report, a dict ready for JSON."""
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.export import states
    from losslandscape_paraview.export.outputs import write_output

    size = job.get("size")
    picture = {name: job[name] for name in ("dpi", "transparent") if job.get(name)}
    if job["action"] == "state":
        layout = states.load_state(job["state"], job.get("layout"), job.get("trust", False))
        return _described(write_output(layout, job["output"], size=size, **picture))
    from losslandscape_paraview.figures.registry import FIGURES, NUMBERS, figure_of

    name, inputs = job["figure"] or "default", job["inputs"]
    if name not in FIGURES:
        raise LandscapeError(f"no figure '{name}'; there are {', '.join(FIGURES)}")
    options = {key: value for key, value in job.get("options", {}).items() if value is not None}
    wanted = NUMBERS.get(name, (1, 2))
    if len(inputs) not in wanted:
        counts = " or ".join(str(count) for count in wanted[:2])
        if len(wanted) > 2:
            counts = f"{wanted[0]} to {wanted[-1]}"
        raise LandscapeError(f"figure '{name}' takes {counts} landscape(s), not {len(inputs)}")
    if size:
        options["size"] = size
    try:
        figure = figure_of(name, len(inputs))(*inputs, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        option = str(error).split("argument ")[-1]
        raise LandscapeError(f"figure '{name}' has no option {option}") from error
    report = figure.report()
    if job.get("output"):
        report.update(_described(figure.save(job["output"], **picture)))
    if job.get("state"):
        report["state"] = str(figure.save_state(job["state"]))
    return report


def _described(written):
    """What was written, as a report names it."""
    return {"picture": written.pop("path"), **written}


def main(path):
    """Read the job file, do it, write its result; 0 where it was done."""
    _load_package()
    from losslandscape_paraview.compatibility import warnings
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.quick_import import import_simple
    from losslandscape_paraview.session import end_session

    import_simple()

    job = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        result: dict[str, Any] = {"report": do(job)}
    except LandscapeError as error:
        result = {"error": str(error)}
    finally:
        end_session()
    result["warnings"] = warnings()
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")
    return 1 if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
