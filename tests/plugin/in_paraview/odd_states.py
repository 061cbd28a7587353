"""States and files that a figure's author did not make, each loaded or drawn: plugin, folder.

The answer has a message or "done" for each; the folder has `wrong_*.vti`, `x.nc` and gets the
outputs.
"""

import json
import sys
from pathlib import Path


def _write_states(folder):
    from paraview import simple

    def view_in(layout, hint=0):
        view = simple.CreateView("RenderView")
        simple.AssignViewToLayout(view, layout, hint=hint)
        return view

    layout = simple.CreateLayout("both")
    simple.Show(simple.Sphere(), view_in(layout))
    right = layout.SplitHorizontal(0, 0.5)
    simple.Show(simple.Line(), view_in(layout, right + 1))
    layout.SetSize(200, 100)
    simple.Text(Text=str(folder))
    simple.SaveState(str(folder / "lines.pvsm"))
    other = simple.CreateLayout("other")
    simple.Show(simple.Cone(), view_in(other))
    other.SetSize(100, 100)
    simple.SaveState(str(folder / "layouts.pvsm"))
    simple.ResetSession()
    simple.Show(simple.Line(), view_in(simple.CreateLayout("only")))
    simple.SaveState(str(folder / "line.pvsm"))
    simple.ResetSession()
    simple.Sphere()
    simple.SaveState(str(folder / "no_view.pvsm"))
    view = simple.CreateView("RenderView")
    view.ViewSize = [120, 90]
    simple.Show(view=view)
    for layout in list(simple.GetLayouts().values()):
        simple.RemoveLayout(layout)
    simple.SaveState(str(folder / "no_layout.pvsm"))


def main(plugin, folder):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.compatibility import restore_getargspec

    restore_getargspec()
    from paraview import simple

    import losslandscape_paraview as llpv
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.export import states
    from losslandscape_paraview.export.outputs import write_output
    from losslandscape_paraview.session import end_session, new_session
    from losslandscape_paraview.sources.landscape_sources import fetch

    folder, answer = Path(folder), {}
    _write_states(folder)

    def attempt(name, action):
        new_session()
        try:
            answer[name] = action() or "done"
        except LandscapeError as error:
            answer[name] = str(error)

    def draw(state, output, layout=None):
        shown = states.load_state(folder / state, layout)
        write_output(shown, folder / output)

    attempt("lines", lambda: draw("lines.pvsm", "lines.glb"))
    attempt("lines as a page", lambda: draw("lines.pvsm", "lines.html"))
    attempt("line", lambda: draw("line.pvsm", "line.glb"))
    attempt("no view", lambda: draw("no_view.pvsm", "no_view.png"))
    attempt("no layout", lambda: draw("no_layout.pvsm", "no_layout.png"))
    attempt("layouts", lambda: draw("layouts.pvsm", "layouts.png"))
    attempt("one layout", lambda: draw("layouts.pvsm", "one.png", "other"))
    attempt("unknown layout", lambda: draw("layouts.pvsm", "unknown.png", "third"))

    def save_again():
        states.load_state(folder / "lines.pvsm")
        states.save_state(folder / "again.pvsm")
        states.save_state(folder / "gone" / "again.pvsm")

    attempt("no folder", save_again)
    for path in sorted(folder.glob("wrong_*.vti")):
        attempt(path.stem, lambda path=path: llpv.surface(path) and None)
    for ceiling in (-5.0, float("nan"), 1e-9):
        attempt(
            f"ceiling {ceiling:g}",
            lambda ceiling=ceiling: llpv.surface(folder / "x.nc", ceiling=ceiling) and None,
        )

    def complex_of_a_reader_not_yet_run():
        llpv.load_plugin()
        reader = simple.LossLandscapeReader(FileName=str(folder / "x.nc"))
        return fetch(simple.LossMorseSmaleComplex(Input=reader)).GetNumberOfPoints()

    attempt("critical points", complex_of_a_reader_not_yet_run)
    end_session()
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
