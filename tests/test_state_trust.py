"""States of unknown origin: what would run code or open other files is refused, ours are not."""

import re
import runpy
from pathlib import Path

import pytest

from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.paraview_programs import plugin_path
from losslandscape.paraview_window import check_state


def proxy(kind, name="FileName", value="data/x.vti", group="filters"):
    return (
        f'<Proxy group="{group}" type="{kind}" id="1"><Property name="{name}" id="1.x">'
        f'<Element index="0" value="{value}"/></Property></Proxy>'
    )


def write(path, content):
    path.write_text(
        f'<ParaView><ServerManagerState version="5.11.0">{content}</ServerManagerState></ParaView>',
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (proxy("ProgrammableFilter"), "holds Python code (ProgrammableFilter)"),
        (proxy("ProgrammableSource"), "holds Python code (ProgrammableSource)"),
        (proxy("PythonCalculator"), "holds Python code (PythonCalculator)"),
        (proxy("PythonView", group="views"), "holds Python code (PythonView)"),
        (proxy("PythonAnimationCue", group="animation"), "holds Python code (PythonAnimationCue)"),
        (proxy("AnnotateAttributeData"), "holds Python code (AnnotateAttributeData)"),
        (proxy("Other", "Script", "print()"), "holds Python code (Script)"),
        (proxy("Other", "InformationScript", "print()"), "holds Python code (InformationScript)"),
        (proxy("SelectionQuerySource"), "holds Python code (SelectionQuerySource)"),
        (proxy("X", "FileName", "x/evil.so"), "loads libraries or plugins (x/evil.so)"),
        (proxy("X", "Any", "evil.py"), "loads libraries or plugins (evil.py)"),
        ('<Plugin name="P" auto_load="1"/>', "loads libraries or plugins (P)"),
        (
            '<CustomProxyDefinitions><CustomProxyDefinition name="C" group="filters"/>'
            "</CustomProxyDefinitions>",
            "defines filters of its own (C)",
        ),
        (proxy("XMLImageDataReader", value="../x.vti"), "outside of its folder (../x.vti)"),
        (proxy("XMLImageDataReader", value="a/../../x"), "outside of its folder (a/../../x)"),
        (proxy("XMLImageDataReader", value="/etc/passwd"), "outside of its folder (/etc/passwd)"),
        (proxy("X", "Texture", "/etc/passwd"), "outside of its folder (/etc/passwd)"),
        (proxy("X", value="C:\\x.vti"), "outside of its folder (C:\\x.vti)"),
        (proxy("X", value="\\\\host\\share\\x"), "outside of its folder (\\\\host\\share\\x)"),
        (proxy("X", value="~/x.vti"), "outside of its folder (~/x.vti)"),
        (proxy("X", value="http://host/x"), "outside of its folder (http://host/x)"),
        (proxy("X", value="..\\x.vti"), "outside of its folder (..\\x.vti)"),
    ],
)
def test_what_is_refused(tmp_path, content, words):
    state = write(tmp_path / "x.pvsm", content)
    with pytest.raises(LossLandscapeError, match=re.escape(words)) as refused:
        check_state(state)
    assert "--trust-file" in str(refused.value)


def test_what_is_not_refused(tmp_path):
    inside = tmp_path / "data" / "x.vti"
    contents = [
        proxy("XMLImageDataReader"),
        proxy("XMLImageDataReader", value=str(inside)),
        proxy("XMLImageDataReader", value="data/../x.vti"),
        proxy("GeometryRepresentation", "BlockSelectors", "/"),
        proxy("ExtractBlock", "Selectors", "/Root/Block0"),
        proxy("TextSource", "Text", "loss / accuracy ... at 1:2"),
        proxy("Calculator", "Function", "log10(loss)/2"),
        proxy("Other", "Script", ""),
        "<CustomProxyDefinitions/>",
    ]
    check_state(write(tmp_path / "x.pvsm", "".join(contents)))


def test_the_states_of_the_figures_are_trusted():
    states = sorted((Path(__file__).parents[1] / "state_files").glob("*.pvsm"))
    assert len(states) >= 6
    for state in states:
        check_state(state)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<ParaView>", "not a ParaView state file"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><ParaView>&a;</ParaView>', "declares entities"),
    ],
)
def test_what_is_no_state(tmp_path, text, words):
    (tmp_path / "x.pvsm").write_text(text, encoding="utf-8")
    for trust in (False, True):
        with pytest.raises(LossLandscapeError, match=words):
            check_state(tmp_path / "x.pvsm", trust)
    with pytest.raises(LossLandscapeError, match="No such file"):
        check_state(tmp_path / "y.pvsm")


def test_the_window_opens_a_state_with_code_only_if_trusted(tmp_path, monkeypatch, capsys):
    state = write(tmp_path / "x.pvsm", proxy("ProgrammableFilter"))
    opened = []
    monkeypatch.setattr("losslandscape.paraview_window.open_window", lambda o: opened.append(o))
    assert main(["paraview", str(state)]) == 1
    assert "holds Python code (ProgrammableFilter)" in capsys.readouterr().err
    assert not opened
    main(["paraview", str(state), "--trust-file"])
    assert len(opened) == 1


def test_rendering_says_whether_a_state_is_trusted(tmp_path, monkeypatch):
    state = write(tmp_path / "x.pvsm", proxy("ProgrammableFilter"))
    jobs = []
    monkeypatch.setattr(
        "losslandscape.paraview_process.run_job", lambda job: jobs.append(job) or {"picture": "x"}
    )
    for options in ([], ["--trust-file"]):
        main(["render", str(state), "--output", str(tmp_path / "x.png"), *options])
    assert [job["trust"] for job in jobs] == [False, True]


def test_the_rules_need_nothing_of_paraview():
    rules = runpy.run_path(str(plugin_path().parent / "losslandscape_paraview" / "state_trust.py"))
    assert callable(rules["objections"])
