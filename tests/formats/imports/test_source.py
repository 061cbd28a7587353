"""Grids, names, numbers and statuses of imported arrays, without a file of any tool."""

import numpy as np
import pytest

from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.formats.imports import source as module
from losslandscape.formats.imports.source import (
    Imported,
    Options,
    Source,
    chosen,
    grid_from_bounds,
    grid_of,
    landscape_of,
)
from losslandscape.planes.grid import Grid


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.bin"
    path.write_bytes(b"\x00\x01" * 500)
    return Source(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89HDF\r\n\x1a\n", "is_hdf5"),
        (b"\x93NUMPY", "is_npy"),
        (b"PK\x03\x04", "is_zip"),
        ("Zahlen für alle\n1 2\n".encode(), "is_text"),
    ],
)
def test_kinds_of_files_are_told_by_their_first_bytes(tmp_path, content, kind):
    (tmp_path / "x").write_bytes(content)
    found = Source(tmp_path / "x")
    assert [getattr(found, k) for k in ("is_hdf5", "is_npy", "is_zip", "is_text")] == [
        k == kind for k in ("is_hdf5", "is_npy", "is_zip", "is_text")
    ]
    (tmp_path / "x").write_bytes(b"\x00" + content)
    later = Source(tmp_path / "x")
    assert not any((later.is_hdf5, later.is_npy, later.is_zip))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<?xml?><VTKFile type='PolyData'>", "VTK PolyData"),
        (b"CDF\x01", "classic netCDF"),
        (b"\x80\x04abc", "pickle"),
        (b"PK torch", "pickle"),
        (b"some words\nmore", "'some words'"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07\x08", "00 01 02 03 04 05 06 07"),
    ],
)
def test_what_was_found_is_described(tmp_path, content, words):
    (tmp_path / "x").write_bytes(content)
    described = Source(tmp_path / "x").described()
    assert words in described
    assert "08" not in described


def test_a_long_text_is_a_text_and_bytes_in_it_make_it_none(tmp_path):
    (tmp_path / "x").write_text("1 2 3\n" * 2000)
    assert Source(tmp_path / "x").is_text
    (tmp_path / "x").write_bytes(b"1 2 3\n" * 20 + b"\x00")
    assert not Source(tmp_path / "x").is_text
    (tmp_path / "x").write_bytes(b"ab" + b"\xff" * 8)
    assert not Source(tmp_path / "x").is_text


def test_sizes_are_held_against_the_file_and_the_largest_landscape(file):
    file.check_size((1100, 1000))
    with pytest.raises(FileFormatError, match=r"1100 x 1001 .* 1000 bytes"):
        file.check_size((1100, 1001))
    file.check_size((1100, 125), 8)
    with pytest.raises(FileFormatError, match="a grid of 1100 x 126"):
        file.check_size((1100, 126), 8, "a grid")
    file.size = 10**9
    file.check_size((10**4, 10**4))
    with pytest.raises(FileFormatError, match="100,000,000"):
        file.check_size((10**4, 10**4 + 1))


def test_even_coordinates_are_a_grid(file):
    notes = []
    axes = [np.linspace(-1, 1, 5), np.array([0.0, 3.0])]
    assert grid_of(file, axes, notes) == Grid((5, 2), ((-1.0, 1.0), (0.0, 3.0)))
    assert notes == []
    near = np.array([0.0, 1.0 + 0.9e-3, 2.0])
    assert grid_of(file, [near], notes).axes()[0].tolist() == [0, 1, 2]
    assert "0.0009" in notes[0]
    assert grid_of(file, [near]) == Grid((3,), ((0.0, 2.0),))


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ([], "0 axes"),
        ([[0.0, 1.0]] * 4, "4 axes"),
        ([[0.0]], "alpha .*1,"),
        ([[0.0, 1.0], [[0.0, 1.0]]], "beta .*1, 2"),
        ([[0.0, np.inf]], "alpha .* finite"),
        ([[0.0, np.nan, 2.0]], "alpha .* finite"),
        ([[1.0, 0.0]], "alpha .* 1 to 0"),
        ([[1.0, 1.0]], "alpha .* 1 to 1"),
        ([[0.0, 1.0], [0.0, 1.002, 2.0]], "beta .*number 1 is 1.002 .*1[ ;]"),
        ([[0.0, 1.0, 1.9, 3.0, 4.0]], "number 2 is 1.9 .*2[ ;]"),
    ],
)
def test_coordinates_that_are_no_grid_are_named(file, axes, words):
    with pytest.raises(FileFormatError, match=words):
        grid_of(file, [np.array(axis) for axis in axes])


def test_the_grid_of_an_array_is_between_the_bounds_alpha_first(file):
    grid = grid_from_bounds(file, (2, 3), [(0, 1), (5, 6)])
    assert grid == Grid((3, 2), ((0.0, 1.0), (5.0, 6.0)))
    for shape in ((), (1, 2), (2, 1), (2, 2, 2, 2)):
        with pytest.raises(FileFormatError, match="axes of 2 or more"):
            grid_from_bounds(file, (shape or (1,)), [(0, 1)] * len(shape))
    with pytest.raises(LossLandscapeError, match=r"--bounds=-1,1,-1,1$"):
        grid_from_bounds(file, (2, 3), None)
    with pytest.raises(LossLandscapeError, match=r"1 pairs of bounds .* 2 axes \(2 x 3\)"):
        grid_from_bounds(file, (2, 3), [(0, 1)])


def test_the_loss_is_the_one_asked_for_a_usual_one_or_the_only_one(file):
    names = ["a", "b", "loss"]
    assert chosen(file, names, Options(array="b"), ("loss",)) == "b"
    assert chosen(file, names, Options(), ("x", "loss", "a")) == "loss"
    assert chosen(file, ["a"], Options(), ("loss",)) == "a"
    with pytest.raises(FileFormatError, match=r"'c' .*a, b, loss"):
        chosen(file, names, Options(array="c"), ("loss",))
    with pytest.raises(FileFormatError, match=r"array.*a, b"):
        chosen(file, ["a", "b"], Options(), ("loss",))
    with pytest.raises(FileFormatError, match=r"no array.*nothing"):
        chosen(file, [], Options(), ("loss",))


def imported(loss, options=None, file=None, **found):
    options = options or Options()
    loss = np.asarray(loss)
    grid = Grid((loss.size,), ((0.0, 1.0),))
    arrays = {"E": loss, **found.pop("arrays", {})}
    return landscape_of(Imported(grid, arrays, "E", **found), file, options, "x", "tool", "title")


def test_points_are_evaluated_where_they_are_finite_and_not_the_mark(file):
    landscape = imported([1.0, -1.0, np.nan, np.inf], file=file)
    assert landscape.status.tolist() == [1, 1, 3, 3]
    landscape = imported([1.0, -1.0, np.nan, np.inf], file=file, not_evaluated=-1)
    assert landscape.status.tolist() == [1, 0, 3, 3]
    np.testing.assert_array_equal(landscape.values(), [1, np.nan, np.nan, np.inf])
    # what the user says goes before what the format says
    landscape = imported([1.0, -1.0, np.nan, 0.0], Options(not_evaluated=0), file, not_evaluated=-1)
    assert landscape.status.tolist() == [1, 1, 3, 0]
    landscape = imported([1.0, -1.0, np.nan, 0.0], Options(not_evaluated=np.nan), file)
    assert landscape.status.tolist() == [1, 1, 0, 1]


def test_a_status_of_the_file_is_taken_if_it_is_one(file):
    landscape = imported([1.0, 2.0], file=file, status=np.array([2, 1]), not_evaluated=2.0)
    assert landscape.status.tolist() == [2, 0]
    assert landscape.status.dtype == np.int8
    for status in ([4, 1], [-1, 1], [0.5, 1]):
        with pytest.raises(FileFormatError, match="status"):
            imported([1.0, 2.0], file=file, status=np.array(status))


def test_other_arrays_keep_their_names_where_a_file_can_have_them(file):
    names = [
        "accuracy",
        "test loss",
        "test_loss",
        "2nd",
        "alpha",
        "model_x",
        "trajectory_",
        "é",
        "",
    ]
    arrays = {name: np.full(2, float(i)) for i, name in enumerate(names)}
    found = imported([1.0, 2.0], file=file, arrays=arrays, titles={"accuracy": "Accuracy"})
    assert list(found.fields) == [
        "loss", "accuracy", "test_loss", "test_loss_", "imported_2nd", "imported_alpha",
        "imported_model_x", "imported_trajectory_", "_", "values",
    ]  # fmt: skip
    assert [values[0] for values in found.fields.values()] == [1.0, *range(9)]
    quantities = found.provenance["quantities"]
    assert quantities["loss"] == "E"
    assert quantities["accuracy"] == "Accuracy"
    assert quantities["test_loss_"] == "test_loss"


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        (np.array([2**53, 1]), False),
        (np.array([2**53 + 1, 1]), True),
        (np.array([1.5, np.nan], np.float16), False),
        (np.array([True, False]), False),
        (np.array([1 + 2j, 1]), True),
        (np.array(["1", "2"]), True),
    ],
)
def test_numbers_that_float64_cannot_hold_are_refused(file, values, refused):
    if refused:
        with pytest.raises(FileFormatError, match="'E'"):
            imported(values, file=file)
    else:
        np.testing.assert_array_equal(imported(values, file=file).values(), values.astype(float))


def test_lengths_are_unknown_unless_they_are_given(file):
    assert np.isnan(imported([1.0, 2.0], file=file).gram_matrix).all()
    known = imported([1.0, 2.0], file=file, gram_matrix=np.array([[4.0]]))
    assert known.gram_matrix.tolist() == [[4.0]]
    assert known.provenance["imported"]["bytes"] == 1000
    assert known.provenance["subspace"]["kind"] == "imported"


def test_an_option_that_the_format_does_not_take_is_named():
    Options(array="a", not_evaluated=3.0).check("npz", ("array", "bounds"))
    with pytest.raises(LossLandscapeError, match=r"npz takes no .*distance.*array, bounds"):
        Options(distance=2.0).check("npz", ("array", "bounds"))
    with pytest.raises(LossLandscapeError, match=r"takes no .*transposed"):
        Options(transposed=True).check("npz", ())


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "empty").touch()
    for name, words in ((".", "folder"), ("none", "no such file"), ("empty", "empty")):
        with pytest.raises(FileFormatError, match=words):
            Source(tmp_path / name)
    assert module.LARGEST_ARRAY == 10**8
