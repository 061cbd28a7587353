"""Opens states that some version of ParaView saved: plugin, folder.

Each `.pvsm` of the folder is opened twice: with `load_state`, and with ParaView's own LoadState
(in 5.11, if no newer version saved it). The answer has of each the layers and the labels (see
`labels`).
With `save` after the folder, the state of a trajectory on its `plane.nc` is saved instead. With
`search` and a pattern of names, each state is opened with `load_state`, and with ParaView's own
LoadState from the root folder, which is told to search the data in the state's; the answer has of
each way the files that every reader reads.
"""

import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def read_files(folder):
    """By pipeline object: the files that it names, from the folder, and its number of points."""
    from paraview import simple

    found = {}
    for (name, _id), source in simple.GetSources().items():
        files = getattr(source, "FileName", None)
        if files:
            names = [files] if isinstance(files, str) else list(files)
            source.UpdatePipeline()
            points = source.GetDataInformation().GetNumberOfPoints()
            relative = [os.path.relpath(os.path.join(folder, file), folder) for file in names]
            found[name] = [relative, points]
    return found


def main(plugin, folder, action="open", pattern="*.pvsm"):
    sys.path[:0] = [plugin, str(Path(__file__).resolve().parent)]
    from labels import read_labels

    import losslandscape_paraview as llpv
    from losslandscape_paraview.compatibility import as_numbers, version
    from losslandscape_paraview.export.states import load_state
    from losslandscape_paraview.layers.shown import find_layers
    from losslandscape_paraview.session import end_session, new_session

    folder, answers = Path(folder), {}
    new_session()
    from paraview import simple

    if action == "save":
        figure = llpv.trajectory(str(folder / "plane.nc"))
        figure.save_state(folder / f"{'.'.join(map(str, version()))}.pvsm")
    for path in sorted(folder.glob(pattern)) if action == "search" else ():
        new_session()
        load_state(path)
        ours = read_files(folder)
        new_session()
        llpv.load_plugin()
        os.chdir("/")
        simple.LoadState(str(path), data_directory=str(folder))
        answers[path.stem] = {"ours": ours, "searched": read_files(folder)}
    for path in sorted(folder.glob("*.pvsm")) if action == "open" else ():
        answer = answers[path.stem] = {}
        new_session()
        load_state(path)
        answer["ours"] = {"layers": sorted(find_layers()), "views": read_labels(folder)}
        saved = ElementTree.parse(path).find("ServerManagerState").get("version")
        # 5.11 lacks a filter of newer ones, under any name
        if as_numbers(saved) <= version() or version() >= (5, 13):
            new_session()
            llpv.load_plugin()
            os.chdir(folder)
            simple.LoadState(str(path))
            answer["plain"] = {"layers": sorted(find_layers()), "views": read_labels(folder)}
    end_session()
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
