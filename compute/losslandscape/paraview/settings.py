"""The plugin in the user's ParaView settings: added with a backup, and removed without a trace.

ParaView keeps two files in one folder. In ``ParaView<version>.ini`` (Qt's), the key
``Local:<program>`` of the group ``PluginsList`` has an XML list of plugins. In
``ParaView-UserSettings.json``, ``ReaderDetails`` maps file names to readers. Only these two places
are edited, as text and as JSON. The folder ``losslandscape`` beside them has the backups, a record
of what was written, and the path of this Python, which the plugin starts to compute.
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from losslandscape.errors import LossLandscapeError
from losslandscape.files.atomic_files import make_folder, replace_file
from losslandscape.paraview.programs import Installation

PLUGIN = "LossLandscape"
READER = ["*.nc", "Loss landscape", "LossLandscapeReader"]
# the group of ReaderDetails up to 5.11, and in later versions; each version ignores the other
_READER_GROUPS = ("RepresentedArrayListSettings", "IOSettings")
_JSON_NAME = "ParaView-UserSettings.json"
_OWN_FOLDER = "losslandscape"
_MACROS = "Macros"  # ParaView shows a button for each file in this folder
_RECORD = "installed.json"
_PYTHON_NAME = "python.txt"  # read by losslandscape_paraview/window/refine_process.py
_SECTION = "[PluginsList]"
_MEND_NAME = "losslandscape_paraview.pth"
# Python's `site` runs this line at each start; outside ParaView's programs it does nothing.
_MEND = (
    "# Lets ParaView 5.11 load Python plugins on Python 3.11 and later; see losslandscape's "
    "docs/launcher.md.\n"
    "import os, sys; exec(\"try: program = os.path.basename(os.readlink('/proc/self/exe'))\\n"
    "except OSError: program = ''\\n"
    "if program.startswith(('paraview', 'pvpython', 'pvbatch', 'pvserver', 'pvdataserver')):\\n"
    " import inspect\\n"
    " inspect.getargspec = getattr(inspect, 'getargspec', inspect.getfullargspec)\")\n"
)


def settings_folder() -> Path:
    """The folder of the user's ParaView settings; it need not exist.

    Raises:
        LossLandscapeError: on Windows, if `APPDATA` is not set.
    """
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA")
        if not roaming:
            raise LossLandscapeError(
                "APPDATA is not set; set it to the folder of your settings (Roaming)"
            )
        return Path(roaming) / "ParaView"
    configuration = os.environ.get("XDG_CONFIG_HOME")
    return Path(configuration or Path.home() / ".config") / "ParaView"


def is_installed(folder: Path, version: str, plugin: Path) -> bool:
    """Whether ParaView of this version loads this plugin at every start."""
    entries = re.findall(_entry_pattern(), _text(folder / _ini_name(version)))
    return any(_escaped(str(plugin)) in entry and _loads(entry) for entry in entries)


def install(
    folder: Path,
    programs: Iterable[Path],
    about: Installation,
    plugin: Path,
    take_nc: bool = True,
) -> list[str]:
    """Add the plugin to the user's settings, so that ParaView loads it at every start.

    Args:
        folder: the settings folder; see `settings_folder`.
        programs: all paths of ParaView's window program; see `program_paths`.
        about: its version and capabilities.
        plugin: the path of `LossLandscape.py`.
        take_nc: let File > Open read every `.nc` file as a landscape, without asking for a
            reader. ParaView decides by the name alone, so this includes other netCDF files.

    Returns:
        The files that were written; empty if everything was already installed.

    Raises:
        LossLandscapeError: a settings file is not JSON or cannot be written; all files are then
            unchanged.
    """
    wanted = _wanted(folder, list(programs), about, plugin, take_nc)
    if _record_path(folder).is_file():
        same = _record(folder).get("take_nc") == take_nc
        if same and all(_bytes(path) == content for path, content in wanted.items()):
            return []
        uninstall(folder)
        wanted = _wanted(folder, list(programs), about, plugin, take_nc)
    wanted = {path: content for path, content in wanted.items() if _bytes(path) != content}
    if not wanted:
        return []
    # Create the folders first, outermost first; the record names those that did not exist.
    own = folder / _OWN_FOLDER
    parents = [own, *(path.parent for path in wanted)]
    made = sorted(
        {str(p) for start in parents for p in (start, *start.parents) if not p.exists()}, key=len
    )
    for name in made:
        make_folder(name)
    record: dict[str, Any] = {"folders": made, "take_nc": take_nc, "files": {}}
    for index, (path, content) in enumerate(wanted.items()):
        before = _bytes(path)
        backup = None if before is None else f"{index}_{path.name}.before"
        if before is not None and backup is not None:
            with replace_file(own / backup) as temporary:
                temporary.write_bytes(before)
        record["files"][str(path)] = {
            "backup": backup,
            "written": hashlib.sha256(content).hexdigest(),
        }
    # The record is written before any setting is changed, so an interrupted install can be undone.
    with replace_file(own / _RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
    try:
        for path, content in wanted.items():
            with replace_file(path) as temporary:
                temporary.write_bytes(content)
    except LossLandscapeError:
        uninstall(folder)
        raise
    return [str(path) for path in wanted]


def uninstall(folder: Path) -> list[str]:
    """Undo `install`.

    A file that has not changed since is restored exactly; from other files only the parts that
    `install` added are removed.

    Returns:
        The files that were changed; empty if the plugin was not installed.

    Raises:
        LossLandscapeError: a settings file cannot be read or written.
    """
    record_path = _record_path(folder)
    if not record_path.is_file():
        return []
    record = _record(folder)
    files, folders = record["files"], record["folders"]
    changed = []
    for name, entry in files.items():
        path, now = Path(name), _bytes(Path(name))
        if now is None:
            continue
        backup = entry["backup"]
        before = None if backup is None else (record_path.parent / backup).read_bytes()
        if hashlib.sha256(now).hexdigest() != entry["written"]:
            before = _without_ours(path, now)
        if before == now:
            continue
        changed.append(name)
        if before is None:
            path.unlink()
        else:
            with replace_file(path) as temporary:
                temporary.write_bytes(before)
    shutil.rmtree(record_path.parent)
    for name in reversed(folders):
        if os.path.isdir(name) and not os.listdir(name):
            os.rmdir(name)
    return changed


def macros_of(plugin: Path) -> Any:
    """The plugin's module that writes the buttons; it can be imported without ParaView.

    Raises:
        LossLandscapeError: the module is missing.
    """
    file = plugin.parent / "losslandscape_paraview" / "window" / "macros.py"
    spec = importlib.util.spec_from_file_location("losslandscape_macros", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise LossLandscapeError(f"{file}: this part of the plugin is missing; install it again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def add_macros(folder: Path, plugin: Path) -> list[str]:
    """Add a button for each figure to the user's macros.

    Returns:
        The files that were written.

    Raises:
        LossLandscapeError: the folder cannot be written.
    """
    try:
        return [str(path) for path in macros_of(plugin).install_macros(folder / _MACROS)]
    except OSError as error:
        raise LossLandscapeError(f"{folder / _MACROS}: {error.strerror}") from error


def take_macros_out(folder: Path, plugin: Path) -> list[str]:
    """Remove the buttons, and their folder if it is then empty; returns the files removed."""
    place = folder / _MACROS
    if not place.is_dir():
        return []
    removed = [str(path) for path in macros_of(plugin).remove_macros(place)]
    if removed and not os.listdir(place):
        place.rmdir()
    return removed


def files_with_plugin(folder: Path) -> set[Path]:
    """The settings files, of any version, that list the plugin."""
    return {
        path for path in folder.glob("ParaView*.ini") if re.search(_entry_pattern(), _text(path))
    }


def forget_plugin(folder: Path, kept: Iterable[Path] = ()) -> None:
    """Remove the plugin from the lists in all settings files except those in `kept`.

    A window started by the launcher adds the plugin to the user's list when it closes.
    """
    for path in files_with_plugin(folder).difference(kept):
        with replace_file(path) as temporary:
            temporary.write_bytes(re.sub(_entry_pattern(), "", _text(path)).encode("latin-1"))


def program_paths(paraview: Path) -> list[Path]:
    """All paths under which the window program may be listed.

    The builds of paraview.org start a second program, `paraview-real`, beside the first.
    """
    program = paraview.resolve()
    real = program.with_name(f"{program.stem}-real{program.suffix}")
    return [program, *([real] if real.is_file() else [])]


def _wanted(
    folder: Path, programs: list[Path], about: Installation, plugin: Path, take_nc: bool
) -> dict[Path, bytes]:
    """The content that each file should have."""
    ini, settings = folder / _ini_name(about.version), folder / _JSON_NAME
    text = _text(ini)
    for program in programs:
        text = _with_plugin(text, program, plugin)
    wanted = {ini: text.encode("latin-1")}
    if take_nc:
        wanted[settings] = _with_reader(settings)
    wanted[folder / _OWN_FOLDER / _PYTHON_NAME] = os.fsencode(sys.executable)
    if not about.loads_python_plugins and about.user_site:
        wanted[Path(about.user_site) / _MEND_NAME] = _MEND.encode("ascii")
    return wanted


def _with_plugin(text: str, program: Path, plugin: Path) -> str:
    """The text of a settings file with the plugin added to a program's list of plugins."""
    end = "\r\n" if "\r\n" in text else "\n"
    key = f"{_escaped_key('Local:' + program.as_posix())}="
    entry = f'  <Plugin name="{PLUGIN}" filename={quoteattr(str(plugin))} auto_load="1" />\n'
    lines = text.split(end)
    for index, line in enumerate(lines):
        if line.startswith(key) and "</Plugins>" in line:
            if any(
                _escaped(str(plugin)) in found and _loads(found)
                for found in re.findall(_entry_pattern(), line)
            ):
                return text
            without = re.sub(_entry_pattern(), "", line)
            head, tail = without.rsplit("</Plugins>", 1)
            lines[index] = f"{head}{_escaped(entry)}</Plugins>{tail}"
            return end.join(lines)
    value = f'"{_escaped(_header() + entry)}</Plugins>\\n"'
    if _SECTION in lines:
        lines.insert(lines.index(_SECTION) + 1, key + value)
        return end.join(lines)
    gap = "" if not text else end if text.endswith(end) else end + end
    return f"{text}{gap}{_SECTION}{end}{key}{value}{end}"


def _header() -> str:
    return '<?xml version="1.0" ?>\n<Plugins>\n'


def _with_reader(path: Path) -> bytes:
    """The JSON settings with the reader for `*.nc`, unless another reader is set for it."""
    now = _bytes(path)
    settings = _parsed(path, now)
    groups = settings.setdefault("settings", {})
    changed = False
    for name in _READER_GROUPS:
        details = groups.setdefault(name, {}).setdefault("ReaderDetails", [])
        if READER[0] not in details[::3]:
            details += READER
            changed = True
    return _dumped(settings) if changed or now is None else now


def _without_ours(path: Path, content: bytes) -> "bytes | None":
    """A changed file without the parts that `install` added; None if nothing remains."""
    if path.name in (_MEND_NAME, _PYTHON_NAME):
        return None
    if path.name != _JSON_NAME:
        return re.sub(_entry_pattern(), "", content.decode("latin-1")).encode("latin-1")
    settings = _parsed(path, content)
    groups = settings.get("settings", {})
    changed = False
    for name in _READER_GROUPS:
        details = groups.get(name, {}).get("ReaderDetails", [])
        kept = [
            part
            for start in range(0, len(details), 3)
            if details[start : start + 3] != READER
            for part in details[start : start + 3]
        ]
        if kept != details:
            changed = True
            groups[name]["ReaderDetails"] = kept
            if not kept:
                del groups[name]["ReaderDetails"]
            if not groups[name]:
                del groups[name]
    return _dumped(settings) if changed else content


def _parsed(path: Path, content: "bytes | None") -> dict[str, Any]:
    try:
        settings = json.loads(content or b"{}")
        if isinstance(settings, dict) and isinstance(settings.get("settings", {}), dict):
            return settings
    except ValueError as error:
        raise LossLandscapeError(
            f"{path}: not valid JSON ({error}); repair or remove it (nothing was changed)"
        ) from error
    raise LossLandscapeError(f"{path}: contains no settings; repair or remove it")


def _dumped(settings: dict[str, Any]) -> bytes:
    return (json.dumps(settings, indent="\t", ensure_ascii=False) + "\n").encode("utf-8")


def _entry_pattern() -> str:
    """Pattern of the plugin's element as Qt writes it: quotes and line ends are escaped."""
    return rf' *<Plugin name=\\"{PLUGIN}\\"(?:(?!/>).)*/>(?:\\n)?'


def _loads(entry: str) -> bool:
    return 'auto_load=\\"1\\"' in entry


def _escaped(text: str) -> str:
    """A string as Qt writes it in a value.

    >>> print(_escaped('a "b"'))
    a \\"b\\"
    >>> print(_escaped('é1'))
    \\xe9\\x31
    """
    written, after_hex = [], False
    for letter in text:
        units = letter.encode("utf-16-be")
        plain = " " <= letter <= "~" and letter not in '"\\'
        if plain and not (after_hex and letter in "0123456789abcdefABCDEF"):
            written.append(letter)
            after_hex = False
        elif letter in '"\\\n':
            written.append({'"': '\\"', "\\": "\\\\", "\n": "\\n"}[letter])
            after_hex = False
        else:
            written += [
                f"\\x{int.from_bytes(units[i : i + 2], 'big'):x}" for i in range(0, len(units), 2)
            ]
            after_hex = True
    return "".join(written)


def _escaped_key(text: str) -> str:
    r"""A key as Qt writes it; its slashes are backslashes.

    >>> print(_escaped_key("Local:/opt/ParaView 5/bin/paraview"))
    Local%3A\opt\ParaView%205\bin\paraview
    """
    written = []
    for letter in re.sub("/+", "/", text):
        if letter == "/":
            written.append("\\")
        elif (letter.isascii() and letter.isalnum()) or letter in "_-.":
            written.append(letter)
        elif ord(letter) <= 0xFF:
            written.append(f"%{ord(letter):02X}")
        else:
            units = letter.encode("utf-16-be")
            written += [
                f"%U{int.from_bytes(units[i : i + 2], 'big'):04X}" for i in range(0, len(units), 2)
            ]
    return "".join(written)


def _ini_name(version: str) -> str:
    return f"ParaView{version}.ini"


def _record(folder: Path) -> dict[str, Any]:
    path = _record_path(folder)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record["files"], dict) and isinstance(record["folders"], list):
            return record
    except (ValueError, KeyError, TypeError) as error:
        raise LossLandscapeError(
            f"{path}: damaged; the backups of your settings are beside it, in *.before"
        ) from error
    raise LossLandscapeError(
        f"{path}: not a record of an installation; the backups of your settings are in *.before"
    )


def _record_path(folder: Path) -> Path:
    return folder / _OWN_FOLDER / _RECORD


def _bytes(path: Path) -> "bytes | None":
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LossLandscapeError(f"{path}: cannot be read ({error.strerror})") from error


def _text(path: Path) -> str:
    """A file with one character per byte, so that unedited parts stay exact; "" if missing."""
    return (_bytes(path) or b"").decode("latin-1")
