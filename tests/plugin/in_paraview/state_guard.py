"""Makes states that run code, loads them with and without trust, and looks whether it ran.

Printed for each state: `refused` (the message without trust), `ran untrusted`, `window` (the same
for what the window does), `ran trusted`. `lists`: what of the allowed objects this ParaView has,
and what is wrong with any of it.
"""

import json
import sys
from pathlib import Path

_CUSTOM = """
<CustomProxyDefinitions><CustomProxyDefinition name="Harmless" group="filters_custom">
<SourceProxy name="Harmless" class="vtkPythonProgrammableFilter">
<StringVectorProperty name="Script" command="SetScript" number_of_elements="1"/>
<IntVectorProperty name="OutputDataSetType" command="SetOutputDataSetType"
 number_of_elements="1" default_values="0"/>
</SourceProxy></CustomProxyDefinition></CustomProxyDefinitions>"""
_HARMLESS = """
<Proxy group="filters_custom" type="Harmless" id="99999" servers="1">
<Property name="Script" id="99999.Script" number_of_elements="1"><Element index="0" value="{code}"/>
</Property></Proxy>
<ProxyCollection name="sources"><Item id="99999" name="H"/>"""


def _write_states(folder):
    """A state a way to run code; each leaves a file of its own name with `.ran`."""
    from paraview import simple

    def code(name):
        return f"__import__('pathlib').Path('{folder / name}.ran').touch()"

    def scene():
        simple.ResetSession()
        view = simple.CreateView("RenderView")
        layout = simple.CreateLayout("x")
        simple.AssignViewToLayout(view, layout)
        layout.SetSize(100, 100)
        sphere = simple.Sphere()
        simple.Show(sphere, view)
        return view, sphere

    view, sphere = scene()
    simple.SaveState(str(folder / "plain.pvsm"))
    plain = (folder / "plain.pvsm").read_text(encoding="utf-8")
    selected = simple.SelectionQuerySource(QueryString="id == 0")
    simple.Show(simple.ExtractSelection(Input=sphere, Selection=selected), view)
    simple.SaveState(str(folder / "query.pvsm"))
    text = (folder / "query.pvsm").read_text(encoding="utf-8")
    assert text.count("id == 0") == 1
    text = text.replace("id == 0", f"({code('query')} or 0) + id * 0")
    (folder / "query.pvsm").write_text(text, encoding="utf-8")
    custom = plain.replace("<CustomProxyDefinitions/>", _CUSTOM).replace(
        '<ProxyCollection name="sources">', _HARMLESS.format(code=code("custom")), 1
    )
    (folder / "custom.pvsm").write_text(custom, encoding="utf-8")
    view, sphere = scene()
    note = simple.PythonAnnotation(Input=sphere, Expression="1")
    simple.Show(note, view)
    note.Expression = code("annotation")
    simple.SaveState(str(folder / "annotation.pvsm"))
    # the same objects under names of another namespace here, which ParaView does not see as one
    spaced = (folder / "query.pvsm").read_text(encoding="utf-8").replace("query.ran", "spaced.ran")
    spaced = spaced.replace("<GenericParaViewApplication", '<GenericParaViewApplication xmlns="x"')
    (folder / "spaced.pvsm").write_text(spaced, encoding="utf-8")


def _attempt(folder, name):
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.export import states
    from losslandscape_paraview.session import new_session
    from losslandscape_paraview.window.first_view import open_in_window

    found, mark, path = {}, folder / f"{name}.ran", str(folder / f"{name}.pvsm")
    for trust in (False, True):
        new_session()
        mark.unlink(missing_ok=True)
        try:
            states.load_state(path, trust=trust)
        except LandscapeError as error:
            found["refused, trusted" if trust else "refused"] = str(error)
        found["ran trusted" if trust else "ran untrusted"] = mark.exists()
    mark.unlink(missing_ok=True)
    new_session()
    open_in_window([path], "state")
    found["window"] = mark.exists()
    return found


def _lists():
    """The allowed objects against ParaView's definitions."""
    from paraview import servermanager

    from losslandscape_paraview.export.state_guard import ALLOWED, FILE_PROPERTIES
    from losslandscape_paraview.plugin import load_plugin

    load_plugin()
    manager = servermanager.ProxyManager().SMProxyManager
    missing, python, files = [], [], []
    for group, kinds in ALLOWED.items():
        for kind in sorted(kinds):
            if not manager.HasDefinition(group, kind):
                missing.append(f"{group}/{kind}")
                continue
            proxy = manager.GetPrototypeProxy(group, kind)
            if "Python" in (proxy.GetVTKClassName() or "") and not kind.startswith("Loss"):
                python.append(f"{group}/{kind}")
            properties = proxy.NewPropertyIterator()
            properties.Begin()
            while not properties.IsAtEnd():
                domain = properties.GetProperty().FindDomain("vtkSMFileListDomain")
                if domain is not None and properties.GetKey() not in FILE_PROPERTIES:
                    files.append(f"{group}/{kind}.{properties.GetKey()}")
                properties.Next()
    return {"missing": missing, "python": python, "files": files}


def main(plugin, folder):
    sys.path.insert(0, plugin)
    from losslandscape_paraview.compatibility import restore_getargspec

    restore_getargspec()
    from losslandscape_paraview.session import end_session

    folder = Path(folder)
    _write_states(folder)
    names = [path.stem for path in sorted(folder.glob("*.pvsm"))]
    answer = {name: _attempt(folder, name) for name in names}
    answer["lists"] = _lists()
    end_session()
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
