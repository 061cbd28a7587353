"""Refine Here in a script: plugin, folder with coarse.nc and a config/ installed in."""

import json
import os
import sys
from pathlib import Path


def losses(data):
    from vtkmodules.util.numpy_support import vtk_to_numpy

    array = data.GetPointData().GetArray("loss")
    return None if array is None else vtk_to_numpy(array).tolist()


def main(plugin, folder):
    sys.path.insert(0, plugin)
    from losslandscape_paraview import load_plugin

    load_plugin()
    from paraview import servermanager, simple

    folder, found = Path(folder), {}
    os.environ.pop("LOSSLANDSCAPE_PYTHON", None)
    os.environ["XDG_CONFIG_HOME"] = str(folder / "no config")
    reader = simple.OpenDataFile(str(folder / "coarse.nc"))

    def refine(name, **options):
        made = simple.RefineHere(
            registrationName=name, Input=reader, BoxPosition=[0, 0, 0], BoxLength=[0.4, 0.4, 1],
            Factor=2, OutputFile=str(folder / f"{name}.nc"), **options,
        )  # fmt: skip
        data = servermanager.Fetch(made)
        return made, {"dimensions": data.GetDimensions(), "loss": losses(data)}

    found["no python"] = refine("no_python")[1]
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
    found["untrusted"] = refine("untrusted")[1]
    made, found["trusted"] = refine("trusted", Trustthefilesmodelcode=1)
    found["ran"] = (folder / "ran.txt").exists()
    (folder / "ran.txt").unlink()
    stamp = os.stat(folder / "trusted.nc").st_mtime_ns
    made.UpdatePipeline()
    found["again"] = os.stat(folder / "trusted.nc").st_mtime_ns == stamp
    # a state with trust and another program in it: nothing may run
    made.Python = str(folder / "evil.sh")
    made.OutputFile = str(folder / "from_state.nc")
    simple.SaveState(str(folder / "evil.pvsm"))
    simple.ResetSession()
    load_plugin()
    simple.LoadState(str(folder / "evil.pvsm"))
    loaded = next(s for (name, _), s in simple.GetSources().items() if name == "trusted")
    loaded.UpdatePipeline()
    found["state ran"] = (folder / "ran.txt").exists() or (folder / "evil.txt").exists()
    found["state trust"] = loaded.Trustthefilesmodelcode
    # another setting by a person begins, but with neither program nor trust of the state
    loaded.Factor = 3
    loaded.UpdatePipeline()
    found["state ran later"] = (folder / "ran.txt").exists() or (folder / "evil.txt").exists()
    loaded.OutputFile = str(folder / "trusted.nc")
    found["kept"] = os.stat(folder / "trusted.nc").st_mtime_ns == stamp
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
