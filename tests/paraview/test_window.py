"""What the launcher opens for the paths it is given."""

import pytest

from losslandscape.errors import LossLandscapeError
from losslandscape.paraview.window import Opening, what_to_open


@pytest.fixture
def files(tmp_path):
    """Make empty files by relative name; returns their absolute names."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tuple(str(tmp_path / name) for name in names)

    return make


@pytest.mark.parametrize(
    ("names", "figure", "opened"),
    [
        (["a.nc"], None, "default"),
        (["a.nc"], "contours", "contours"),
        (["a.nc", "b.nc"], None, "compare"),
        (["a.nc", "b.llnc", "c/surface.vti"], None, None),
        (["a.nc"], "flatness", "flatness"),
        (["a.nc", "b.nc"], "flatness", "flatness"),
        (["a.pvsm"], None, "state"),
    ],
)
def test_files(files, names, figure, opened):
    made = files(*names)
    assert what_to_open(made, figure) == Opening(made, opened)


@pytest.mark.parametrize(
    ("inside", "taken"),
    [
        (["a.nc", "notes.txt", "figure.pvsm"], ["a.nc"]),
        (["b.nc", "a.nc"], ["a.nc", "b.nc"]),
        (["surface.vti", "trajectory.vtp"], ["surface.vti"]),
        (["surface.vti", "landscape.nc"], ["landscape.nc"]),
        (["figure.pvsm", "one/landscape.nc"], ["one/landscape.nc"]),
        (["one/landscape.nc", "two/landscape.nc"], ["one/landscape.nc", "two/landscape.nc"]),
    ],
)
def test_a_folder_is_what_is_in_it(files, tmp_path, inside, taken):
    files(*(f"folder/{name}" for name in inside))
    opening = what_to_open([tmp_path / "folder"])
    assert opening.files == tuple(str(tmp_path / "folder" / name) for name in taken)


def test_nothing_asked_nothing_opened():
    assert what_to_open([]) == Opening()


@pytest.mark.parametrize(
    ("names", "figure", "words"),
    [
        (["a.nc", "b.nc"], "topology", "--figure topology takes 1 landscape, not 2"),
        (["a.nc"], "compare", "--figure compare takes 2 landscapes, not 1"),
        (["a.pvsm", "b.nc"], None, "a state must be opened alone"),
        (["a.pvsm"], "surface", "omit --figure"),
        (["a.txt"], None, "neither a landscape"),
    ],
)
def test_what_does_not_fit_is_said(files, names, figure, words):
    with pytest.raises(LossLandscapeError, match=words):
        what_to_open(files(*names), figure)


def test_missing_and_empty_and_ambiguous(files, tmp_path):
    with pytest.raises(LossLandscapeError, match=r"gone\.nc: no such file"):
        what_to_open([tmp_path / "gone.nc"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(LossLandscapeError, match="contains no landscape"):
        what_to_open([tmp_path / "empty"])


def test_a_state_is_never_picked_out_of_a_folder(files, tmp_path):
    files("received/a.pvsm", "runs/one/b.pvsm")
    for folder, name in (("received", r"a\.pvsm"), ("runs", r"b\.pvsm")):
        with pytest.raises(
            LossLandscapeError, match=f"give its file name.* contain code: .*{name}"
        ):
            what_to_open([tmp_path / folder])
    state = tmp_path / "received" / "a.pvsm"
    assert what_to_open([state], trust=True) == Opening((str(state),), "state", True)
    assert not what_to_open([state]).trust
