"""What is said of a ParaView that was not tried, and of a TTK that did not load: plugin, file.

The file is a landscape. The answer has the warnings and errors of each case.
"""

import json
import sys


def main(plugin, landscape):
    sys.path.insert(0, plugin)
    import losslandscape_paraview as llpv
    from losslandscape_paraview import compatibility
    from losslandscape_paraview.errors import LandscapeError
    from losslandscape_paraview.session import end_session, new_session

    answers, own = {"version": compatibility.version()}, compatibility.version

    def warned(action):
        before = len(compatibility.warnings())
        action()
        action()
        return compatibility.warnings()[before:]

    for name, version in (("own", None), ("older", (5, 10, 1)), ("newer", (6, 2, 0))):
        compatibility.version = own if version is None else lambda version=version: version
        answers[name] = warned(compatibility.warn_if_untried)
    new_session()
    from paraview import servermanager, simple

    tube = simple.Tube
    for name, version in (("broken, tried", own), ("broken, newer", lambda: (6, 2, 0))):
        compatibility.version = version
        llpv.load_plugin()  # which gives the module all its functions anew
        del simple.Tube
        try:
            llpv.contours(landscape)
        except (AttributeError, LandscapeError) as error:
            answers[name] = [type(error).__name__, str(error)]
        simple.Tube = tube
        new_session()
    compatibility.version = own
    plugins = servermanager.vtkPVPluginTracker.GetInstance()
    answers["no ttk"] = warned(compatibility.warn_if_ttk_was_left_out)
    plugins.RegisterAvailablePlugin("/elsewhere/TopologyToolKit.so")
    answers["topology"] = llpv.topology(landscape).report()["panels"][0]["topology"]
    answers["ttk"] = [text for text in compatibility.warnings() if "TopologyToolKit" in text]
    end_session()
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
