"""Opens pictures that carry their state: plugin, folder.

The folder has `plane.nc`. It gets `ours.png`, a trajectory that the plugin saves, and `again.png`,
the same picture of the state in it. The answer has the layers and the texts: as the picture was
`saved`, opened by `load_state` (`ours`), and, from ParaView 5.12 on, opened by its own LoadState
(`plain`).
"""

import json
import os
import sys
from pathlib import Path

SIZE = (500, 400)


def main(plugin, folder):
    sys.path[:0] = [plugin, str(Path(__file__).resolve().parent)]
    from labels import read_labels

    import losslandscape_paraview as llpv
    from losslandscape_paraview.compatibility import version
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.export.states import load_state, render_layout
    from losslandscape_paraview.layers.shown import find_layers
    from losslandscape_paraview.session import end_session, new_session

    folder, can_open = Path(folder), version() >= (5, 12)

    def seen():
        return {"layers": sorted(find_layers()), "views": read_labels(folder)}

    new_session()
    from paraview import simple

    figure = llpv.trajectory(str(folder / "plane.nc"))
    figure.save(folder / "ours.png", size=SIZE)
    answers = {"saved": seen(), "can_open": can_open}
    new_session()
    layout = load_state(folder / "ours.png")
    answers["ours"] = seen()
    render_layout(layout, folder / "again.png", SIZE)
    if can_open:
        new_session()
        llpv.load_plugin()
        os.chdir(folder)
        simple.LoadState(str(folder / "ours.png"))
        answers["plain"] = seen()
    new_session()
    view = simple.CreateRenderView()
    simple.Show(simple.Sphere(), view)
    simple.SaveScreenshot(str(folder / "none.png"), view)
    try:
        load_state(folder / "none.png")
    except LandscapeError as error:
        answers["none"] = str(error)
    end_session()
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
