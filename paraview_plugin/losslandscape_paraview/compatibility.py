"""What each version of ParaView calls a thing; all else speaks the language of the newest one.

The format of a number is one of `str.format`, such as `{:.3g}`, as in ParaView from 6.1 on.
"""

import functools
import inspect
import re

from .errors import LandscapeError

# The versions that the plugin is made for; `make test-paraviews` runs its tests in each.
TRIED = ("5.11.0", "5.13.2", "6.1.1")

# function of paraview.simple -> what versions without it call it
OLDER_FUNCTIONS = {"SurfaceNormals": "GenerateSurfaceNormals"}

# The property of representations that moves what they show, before and since that version.
_TRANSLATION, _OLDER_TRANSLATION, _TRANSLATION_SINCE = "Translation", "Position", (5, 13)

# filter in state files -> its older name; ParaView renames what an older version saved
RENAMED_FILTERS = {
    "PointAndCellIds": "GenerateIdScalars",
    "PolylineLength": "AppendArcLength",
    "SurfaceNormals": "PolyDataNormals",
}
# those of them that have the same properties: an older version can draw what a newer one saved
_SAME_PROPERTIES = ("SurfaceNormals",)

# From this version on, numbers are formatted by std::format, and before it by printf. Either writes
# the other's format as it is into every label, whatever ParaView says of converting it.
_STD_FORMAT = (6, 1)
_PRINTF = re.compile(r"%(?P<flags>[-+ #0]*)(?P<width>\d*)(?P<rest>(?:\.\d+)?[eEfFgG])")
_STD = re.compile(
    r"\{:(?P<align>[<>]?)(?P<sign>[-+ ]?)(?P<form>#?)(?P<zero>0?)"
    r"(?P<width>\d*)(?P<rest>(?:\.\d+)?[eEfFgG])\}"
)

_TTK = "TopologyToolKit"

_warnings: list[str] = []


def restore_getargspec():
    """Give ``inspect`` back the ``getargspec`` that ParaView 5.11 imports.

    Python 3.11 removed it, so there `paraview.detail.pythonalgorithm`, and with it every Python
    plugin, fails to load. Call this before that module is first imported; later ParaView
    versions do not need it and are not changed by it.
    """
    if not hasattr(inspect, "getargspec"):
        inspect.getargspec = inspect.getfullargspec  # type: ignore[assignment]


def version():
    """The version of this ParaView, a tuple of three numbers."""
    # not of paraview.servermanager: this is asked on servers too, which have no client's modules
    from paraview.modules.vtkRemotingServerManager import vtkSMProxyManager as manager

    return (manager.GetVersionMajor(), manager.GetVersionMinor(), manager.GetVersionPatch())


def written(numbers):
    """A version as people write it.

    >>> written((5, 11, 0))
    '5.11.0'
    """
    return ".".join(str(number) for number in numbers)


def as_numbers(text):
    """A version as a tuple of numbers.

    >>> as_numbers("5.13.2")
    (5, 13, 2)
    """
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def function(name):
    """A function of `paraview.simple`, by the name that the newest version has for it.

    Raises:
        AttributeError: this ParaView has no such function.
    """
    from paraview import simple

    return getattr(simple, name if hasattr(simple, name) else OLDER_FUNCTIONS.get(name, name))


def translation():
    """The name of the property by which a representation moves what it shows."""
    return _TRANSLATION if version() >= _TRANSLATION_SINCE else _OLDER_TRANSLATION


def property_of_state(group, name, size):
    """The name by which this ParaView takes a property of a state file.

    Args:
        group: of the proxy that has it.
        name: the property's, in the state.
        size: its number of elements, as the state has it; a text's place has the older name, too,
            and two of them.
    """
    moves = name in (_TRANSLATION, _OLDER_TRANSLATION) and size == "3"
    return translation() if moves and group == "representations" else name


def number_format(text):
    """A format of a number, of either kind, as this ParaView understands it.

    Args:
        text: with one format in it, such as `{:.3g}` or `%.3g`; another text stays as it is.
    """
    return std_format(text) if version() >= _STD_FORMAT else printf_format(text)


def std_format(text):
    """The format of std::format for one of printf.

    >>> std_format("%-#6.3g"), std_format("{:.3g}"), std_format("%.1e m")
    ('{:<#6.3g}', '{:.3g}', '{:.1e} m')
    """

    def converted(match):
        flags, width = match["flags"], match["width"]
        sign = "+" if "+" in flags else " " if " " in flags else ""
        form = "#" if "#" in flags else ""
        zero = "0" if "0" in flags and "-" not in flags else ""
        align = "<" if "-" in flags and width else ""
        return f"{{:{align}{sign}{form}{zero}{width}{match['rest']}}}"

    return _PRINTF.sub(converted, text)


def printf_format(text):
    """The format of printf for one of std::format.

    >>> printf_format("{:<#6.3g}"), printf_format("%.3g"), printf_format("{:.1e} m")
    ('%-#6.3g', '%.3g', '%.1e m')
    """

    def converted(match):
        align = "-" if match["align"] == "<" else ""
        sign = match["sign"].replace("-", "")
        return f"%{align}{sign}{match['form']}{match['zero']}{match['width']}{match['rest']}"

    return _STD.sub(converted, text)


def name_of_filter(name, is_known):
    """The name by which this ParaView takes a filter of a state file.

    Args:
        name: the filter's, in the state.
        is_known: function of a name, whether this ParaView has such a filter.

    Returns:
        The name for the state, which may be one that ParaView itself replaces by a newer; None if
        it knows the filter under no name.
    """
    if is_known(name):
        return name
    if name in _SAME_PROPERTIES and is_known(RENAMED_FILTERS[name]):
        return RENAMED_FILTERS[name]
    newer = [new for new, old in RENAMED_FILTERS.items() if old == name and is_known(new)]
    return name if newer else None


def is_tried():
    """Whether the tests passed in a ParaView of this version, whatever its last number."""
    return version()[:2] in [as_numbers(tried)[:2] for tried in TRIED]


def warn_if_untried():
    """Warn, once, of a ParaView that is older or newer than all that were tried."""
    found, oldest, newest = version(), as_numbers(TRIED[0]), as_numbers(TRIED[-1])
    if found[:2] < oldest[:2]:
        warn(
            f"ParaView {written(found)} is older than {written(oldest[:2])}, the oldest that the "
            "plugin supports: figures may fail or differ"
        )
    elif found[:2] > newest[:2]:
        warn(
            f"ParaView {written(found)} is newer than {written(newest)}, the newest that the "
            "plugin was tried with: compare its figures with those of an older ParaView"
        )


def warn_if_ttk_was_left_out():
    """Warn, once, if a Topology ToolKit is in ParaView's list of plugins, but did not load."""
    path = ttk_not_loaded()
    if path:
        warn(
            f"{path}: ParaView {written(version())} did not load this Topology ToolKit, which may "
            "be built for another version of ParaView; the plugin computes the topology itself"
        )


def ttk_not_loaded():
    """The path of a Topology ToolKit that ParaView lists without having loaded it, or None."""
    from paraview import servermanager

    plugins = servermanager.vtkPVPluginTracker.GetInstance()
    for number in range(plugins.GetNumberOfPlugins()):
        if plugins.GetPluginName(number) == _TTK and not plugins.GetPluginLoaded(number):
            return plugins.GetPluginFileName(number)
    return None


def warn(text):
    """Show a warning in ParaView's messages, once, and keep it for `warnings`."""
    if text not in _warnings:
        from paraview import print_warning

        _warnings.append(text)
        print_warning(f"losslandscape: {text}")


def warnings():
    """All that `warn` was told in this process."""
    return list(_warnings)


def drawn_by_tried_versions(draw):
    """Decorate a figure: of a version that cannot draw it, the error says so, and which can.

    In a version that was tried, an error is one of this plugin, and stays as it is.
    """

    @functools.wraps(draw)
    def checked(*arguments, **options):
        restore_getargspec()
        warn_if_untried()
        from paraview import NotSupportedException

        try:
            return draw(*arguments, **options)
        except (AttributeError, NotSupportedException) as error:
            if is_tried():
                raise
            *others, last = TRIED
            raise LandscapeError(
                f"ParaView {written(version())} cannot draw the figure '{draw.__name__}' "
                f"({error}); ParaView {', '.join(others)} and {last} can: set PVPYTHON to the "
                "path of such a pvpython"
            ) from error

    return checked
