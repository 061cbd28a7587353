"""Bare arrays and tables: .npy, .npz, text, .vti; and what is not one of these."""

import io
import pickle
import struct
import zipfile

import hypothesis.extra.numpy as arrays_of
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losslandscape import Grid, Landscape
from losslandscape.errors import FileFormatError, LossLandscapeError
from losslandscape.formats import imports

SQUARE = [(-1.0, 1.0), (0.0, 6.0)]


def about(landscape):
    return landscape.provenance["imported"]


# ---- .npy


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "i4", "i8"])
@pytest.mark.parametrize("shape", [(7,), (4, 5), (3, 4, 5)])
def test_npy_of_every_dimension_and_type(tmp_path, rng, shape, dtype):
    values = (rng.random(shape) * 100).astype(dtype)
    np.save(tmp_path / "x.npy", np.asfortranarray(values))
    bounds = [(-1.0, 1.0), (0.0, 6.0), (2.0, 3.0)][: len(shape)]
    landscape = Landscape.imported(tmp_path / "x.npy", bounds=bounds)
    assert landscape.grid == Grid(shape[::-1], tuple(bounds))
    np.testing.assert_array_equal(landscape.values("loss"), values)
    assert landscape.values("loss").dtype == np.float64
    assert about(landscape)["format"] == "npy"
    turned = Landscape.imported(tmp_path / "x.npy", bounds=bounds, transposed=True)
    np.testing.assert_array_equal(turned.values("loss"), values.T)


def test_what_is_not_finite_is_kept_with_its_status(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[1.0, np.nan, -1.0], [np.inf, -np.inf, 2.0]]))
    landscape = Landscape.imported(tmp_path / "x.npy", bounds=SQUARE)
    assert landscape.status.tolist() == [[1, 3, 1], [3, 3, 1]]
    assert landscape.values("loss")[1].tolist() == [np.inf, -np.inf, 2.0]
    marked = Landscape.imported(tmp_path / "x.npy", bounds=SQUARE, not_evaluated=np.nan)
    assert marked.status.tolist() == [[1, 0, 1], [3, 3, 1]]
    marked = Landscape.imported(tmp_path / "x.npy", bounds=SQUARE, not_evaluated=-1)
    assert marked.status.tolist() == [[1, 3, 0], [3, 3, 1]]
    assert np.isnan(marked.values("loss")[0, 2])


def test_provenance_names_the_file_and_its_hash(tmp_path):
    import hashlib

    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    landscape = Landscape.imported(tmp_path / "x.npy", bounds=SQUARE, title="A title")
    landscape.save(tmp_path / "x.nc")
    kept = Landscape.open(tmp_path / "x.nc").provenance
    assert kept["title"] == "A title"
    assert kept["subspace"] == {"kind": "imported"}
    assert kept["imported"]["file"] == "x.npy"
    content = (tmp_path / "x.npy").read_bytes()
    assert kept["imported"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert kept["imported"]["bytes"] == len(content)


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (np.zeros((4, 5)), {}, r"4 x 5 values without coordinates; .*--bounds=-1,1,-1,1"),
        (np.zeros((4, 5)), {"bounds": [(-1, 1)]}, "1 pairs of bounds for an array of 2 axes"),
        (np.zeros((4, 5)), {"bounds": [(1, -1), (0, 1)]}, "must be finite and increasing"),
        (np.zeros((2, 2, 2, 2)), {}, r"shape \(2 x 2 x 2 x 2\)"),
        (np.zeros((4, 1)), {}, r"1, 2 or 3 axes of 2 or more points"),
        (np.zeros(()), {}, "1, 2 or 3 axes"),
        (np.zeros((2, 2), complex), {"bounds": SQUARE}, "complex128, which is not real numbers"),
        (np.array([["a", "b"]] * 2), {"bounds": SQUARE}, "not real numbers"),
        (np.full((2, 2), 2**53 + 1), {"bounds": SQUARE}, "values that float64 cannot represent"),
        (np.zeros((2, 2)), {"bounds": SQUARE, "array": "x"}, "format npy takes no option array"),
        (np.zeros((2, 2)), {"bounds": SQUARE, "format": "npx"}, "'npx' is not one of li-h5"),
        (np.zeros((2, 2)), {"bounds": SQUARE, "format": "vti"}, "not VTK image data"),
        (np.zeros((2, 2)), {"bounds": SQUARE, "format": "npz"}, r"not a \.npz file"),
        (np.zeros((2, 2)), {"format": "li-h5"}, "not an HDF5 file"),
    ],
)
def test_wrong_arrays_and_options(tmp_path, values, options, words):
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(LossLandscapeError, match=words):
        Landscape.imported(tmp_path / "x.npy", **options)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was opened')",))


def test_pickles_are_never_opened(tmp_path):
    np.save(tmp_path / "x.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(FileFormatError, match="pickled Python objects"):
        Landscape.imported(tmp_path / "x.npy", bounds=[(0, 1)])
    np.savez(tmp_path / "x.npz", loss=np.array([Bomb()], dtype=object))
    with pytest.raises(FileFormatError, match="pickled Python objects"):
        Landscape.imported(tmp_path / "x.npz")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FileFormatError, match="pickles are never opened"):
        Landscape.imported(tmp_path / "x.pkl")


def npy_header(shape):
    stream = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2**40,), "larger than the limit of 100,000,000"),
        ((10**7,), "does not fit in a file of"),
        ((100,), "truncated: it has 16 of 800 bytes"),
    ],
)
def test_sizes_are_held_against_the_file(tmp_path, shape, words):
    (tmp_path / "x.npy").write_bytes(npy_header(shape) + bytes(16))
    with pytest.raises(FileFormatError, match=words):
        Landscape.imported(tmp_path / "x.npy", bounds=[(0, 1)])
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("loss.npy", npy_header(shape) + bytes(16))
    with pytest.raises(FileFormatError, match=words):
        Landscape.imported(tmp_path / "x.npz", bounds=[(0, 1)])


# ---- .npz


def test_npz_with_coordinates_and_other_arrays(tmp_path, rng):
    loss, accuracy = rng.random((4, 5)), rng.random((4, 5))
    x, y = np.linspace(-1, 1, 5), np.linspace(0, 6, 4)
    np.savez_compressed(tmp_path / "a.npz", x=x, y=y, loss=loss, accuracy=accuracy, seed=3)
    landscape = Landscape.imported(tmp_path / "a.npz")
    assert landscape.grid == Grid.rectangle((5, 4), SQUARE)
    np.testing.assert_array_equal(landscape.values("loss"), loss)
    np.testing.assert_array_equal(landscape.values("accuracy"), accuracy)
    assert about(landscape)["notes"] == ["left out, not on the grid: seed"]
    np.savez(tmp_path / "b.npz", x=x, y=y, loss=loss.T)
    with pytest.raises(
        FileFormatError, match="if the first index belongs to alpha, pass transposed=True"
    ):
        Landscape.imported(tmp_path / "b.npz")
    again = Landscape.imported(tmp_path / "b.npz", transposed=True)
    np.testing.assert_array_equal(again.values("loss"), loss)
    np.savez(tmp_path / "c.npz", first=loss, second=accuracy)
    with pytest.raises(FileFormatError, match=r"several arrays; name the loss.*first, second"):
        Landscape.imported(tmp_path / "c.npz", bounds=SQUARE)
    chosen = Landscape.imported(tmp_path / "c.npz", bounds=SQUARE, array="second")
    np.testing.assert_array_equal(chosen.values("loss"), accuracy)
    np.testing.assert_array_equal(chosen.values("first"), loss)


def test_npz_with_falling_coordinates_is_put_in_order(tmp_path, rng):
    loss = rng.random((4, 5))
    x, y = np.linspace(1, -1, 5), np.linspace(0, 6, 4)
    np.savez(tmp_path / "a.npz", x=x, y=y, loss=loss)
    landscape = Landscape.imported(tmp_path / "a.npz")
    assert landscape.grid == Grid.rectangle((5, 4), SQUARE)
    np.testing.assert_array_equal(landscape.values("loss"), loss[:, ::-1])
    assert about(landscape)["notes"] == ["alpha falls in the file; it is put in rising order"]
    np.savez(tmp_path / "b.npz", x=x[::-1], y=y[::-1], loss=loss)
    landscape = Landscape.imported(tmp_path / "b.npz")
    np.testing.assert_array_equal(landscape.values("loss"), loss[::-1])
    np.savez(tmp_path / "c.npz", x=np.zeros(5), y=y, loss=loss)
    with pytest.raises(FileFormatError, match="must rise or fall"):
        Landscape.imported(tmp_path / "c.npz")


def test_a_truncated_npz(tmp_path, rng):
    np.savez(tmp_path / "a.npz", loss=rng.random((40, 50)))
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(content[:-400])
    with pytest.raises(FileFormatError, match="unknown format"):
        Landscape.imported(tmp_path / "b.npz")
    with pytest.raises(FileFormatError, match=r"damaged, or not a \.npz file"):
        Landscape.imported(tmp_path / "b.npz", "npz")
    spoilt = bytearray(content)
    spoilt[5000] ^= 1
    (tmp_path / "c.npz").write_bytes(spoilt)
    with pytest.raises(FileFormatError, match="damaged"):
        Landscape.imported(tmp_path / "c.npz", bounds=SQUARE)


# ---- text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
def test_a_matrix_of_text(tmp_path, rng, delimiter):
    values = rng.random((4, 5))
    values[1, 1], values[2, 2] = np.nan, np.inf
    np.savetxt(tmp_path / "x.txt", values, delimiter=delimiter, fmt="%.17g", header="losses")
    landscape = Landscape.imported(tmp_path / "x.txt", bounds=SQUARE)
    np.testing.assert_array_equal(landscape.values("loss"), values)
    assert landscape.status[1:3, 1:3].tolist() == [[3, 1], [1, 3]]
    with pytest.raises(LossLandscapeError, match="4 x 5 values without coordinates"):
        Landscape.imported(tmp_path / "x.txt")


@pytest.mark.parametrize("text", ["1\n2\n4\n", "1,2,4\n"])
def test_one_row_or_column_is_a_line(tmp_path, text):
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    landscape = Landscape.imported(tmp_path / "x.csv", bounds=[(0, 1)])
    assert landscape.values("loss").tolist() == [1, 2, 4]


def test_rows_in_any_order_and_rows_that_are_missing(tmp_path):
    (tmp_path / "x.csv").write_text(
        "\ufeffbeta, loss, alpha, note\n1,4.5,0,7\n0,1,1,\n0,0,0,8\n0,2,2,9\n1,5,1,9\n",
        encoding="utf-8",
    )
    landscape = Landscape.imported(tmp_path / "x.csv")
    assert landscape.grid == Grid.rectangle((3, 2), ((0, 2), (0, 1)))
    np.testing.assert_array_equal(landscape.values("loss"), [[0, 1, 2], [4.5, 5, np.nan]])
    np.testing.assert_array_equal(landscape.values("note"), [[8, np.nan, 9], [7, 9, np.nan]])
    assert landscape.status.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert about(landscape)["notes"] == ["1 points of the grid have no row: not evaluated"]


def test_a_header_in_a_comment(tmp_path):
    table = np.array([[0, 0.1, 1.0], [0.5, 0.1, 2], [0, 0.4, 3], [0.5, 0.4, 4]])
    np.savetxt(tmp_path / "x.txt", table, header="x y loss")
    landscape = Landscape.imported(tmp_path / "x.txt")
    assert landscape.values("loss").tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alpha,beta,loss\n0,0,1\n0,1\n", "line 3 has 2 values, but the first has 3"),
        ("alpha,beta,loss\n0,0,1\n0,1,x\n", "line 3: could not convert string to float: 'x'"),
        ("alpha,loss\n0,1\n0,2\n1,3\n", "two rows have the same coordinates"),
        (
            "alpha,loss\n0,1\n0.5,2\n2,3\n",
            "along alpha are not evenly spaced: number 1 is 0.5 instead of 1",
        ),
        ("alpha,loss\n0,1\nnan,2\n", "a coordinate is not a finite number"),
        ("alpha,a,b\n0,1,2\n1,2,3\n", r"several arrays; name the loss.*a, b"),
        ("alpha,loss,loss\n0,1,2\n1,2,3\n", "more than one column is called loss"),
        ("alpha,loss,status\n0,1,7\n1,2,1\n", "status has values other than 0, 1, 2 and 3"),
        ("alpha,beta,loss\n0,0,1\n1,0,2\n", r"along beta have shape \(1,\)"),
        ("alpha,loss\n", "the table has no rows"),
        ("alpha\n0\n1\n", "has no array of numbers"),
        ("width,loss\n0,1\n1,2\n", "beginning with 'width,loss'"),
        ("a model card\n", "text beginning with 'a model card'"),
    ],
)
def test_wrong_tables(tmp_path, text, words):
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    with pytest.raises(LossLandscapeError, match=words):
        Landscape.imported(tmp_path / "x.csv")


def test_scattered_points_take_no_memory(tmp_path, rng):
    points = rng.random((20_000, 2))
    np.savetxt(tmp_path / "x.txt", np.c_[points, points[:, 0]], header="x y loss")
    with pytest.raises(FileFormatError, match="larger than the limit of 100,000,000"):
        Landscape.imported(tmp_path / "x.txt")


def same_bits(one, two):
    """Equal as numbers and in the sign of zero; NaN for NaN."""
    same = one.view(np.int64) == two.view(np.int64)
    return bool((same | (np.isnan(one) & np.isnan(two))).all())


@st.composite
def landscapes(draw):
    shape = tuple(draw(st.lists(st.integers(2, 5), min_size=1, max_size=3)))
    ends = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9)
    bounds = []
    for _ in shape:
        low = draw(ends)
        bounds.append((low, low + draw(st.floats(1e-3, 1e6))))
    values = arrays_of.arrays(np.float64, shape, elements=st.floats())
    names = draw(st.sets(st.sampled_from(["loss_standard_error", "accuracy", "x", "test_loss"])))
    status = draw(arrays_of.arrays(np.int8, shape, elements=st.integers(0, 3)))
    fields = {"loss": draw(values), **{name: draw(values) for name in sorted(names)}}
    return Landscape(
        Grid(shape[::-1], tuple(bounds)), fields, status, np.full((len(shape),) * 2, np.nan)
    )


@settings(deadline=None, max_examples=60)
@given(landscapes())
def test_what_is_exported_as_csv_is_imported_to_the_bit(tmp_path_factory, landscape):
    folder = tmp_path_factory.mktemp("csv")
    (path,) = landscape.export(folder, ["csv"])
    again = Landscape.imported(path)
    assert again.grid.counts == landscape.grid.counts
    for one, two in zip(again.grid.axes(), landscape.grid.axes()):
        assert (one == two).all()
    np.testing.assert_array_equal(again.status, landscape.status)
    assert set(again.fields) == set(landscape.fields)
    for name, values in landscape.fields.items():
        assert same_bits(again.values(name), values)


def test_the_columns_of_the_export(tmp_path):
    landscape = Landscape(
        Grid.rectangle((2, 2), SQUARE),
        {
            "loss": np.array([[0.1, np.nan], [np.inf, 1e-300]]),
            "accuracy": np.array([[1, 0.5], [0, 0]], np.float32),
            "loss_standard_error": np.array([[0.3, 1], [2, 3]]),
        },
        np.array([[1, 0], [3, 1]], np.int8),
        np.eye(2),
    )
    landscape.export(tmp_path, ["csv"])
    assert (tmp_path / "surface.csv").read_text(encoding="utf-8").splitlines() == [
        "alpha,beta,loss,loss_standard_error,status,accuracy",
        "-1.0,0.0,0.1,0.3,1,1.0",
        "1.0,0.0,nan,1.0,0,0.5",
        "-1.0,6.0,inf,2.0,3,0.0",
        "1.0,6.0,1e-300,3.0,1,0.0",
    ]


# ---- .vti


@pytest.mark.parametrize("shape", [(7,), (4, 5), (3, 4, 5)])
def test_vti_of_this_program(tmp_path, rng, shape):
    grid = Grid(shape[::-1], ((-1.0, 1.0), (0.0, 6.0), (2.0, 4.0))[: len(shape)])
    loss = rng.random(shape)
    loss.flat[1], loss.flat[2] = np.nan, np.inf
    status = np.where(np.isfinite(loss), 1, 0).astype(np.int8)
    fields = {"loss": loss, "accuracy": rng.random(shape)}
    Landscape(grid, fields, status, np.eye(len(shape))).export(tmp_path, ["vti"])
    landscape = Landscape.imported(tmp_path / "surface.vti")
    assert about(landscape)["format"] == "vti"
    np.testing.assert_allclose(landscape.grid.bounds, grid.bounds, atol=1e-15)
    assert landscape.grid.shape == grid.shape
    assert same_bits(landscape.values("loss"), loss)
    assert same_bits(landscape.values("accuracy"), fields["accuracy"])
    np.testing.assert_array_equal(landscape.status, status)


def test_damaged_and_oversized_vti(tmp_path, rng, capfd):
    grid = Grid.square(20)
    Landscape(grid, {"loss": rng.random(grid.shape)}, np.ones(grid.shape, int), np.eye(2)).export(
        tmp_path, ["vti"]
    )
    text = (tmp_path / "surface.vti").read_text(encoding="utf-8")
    (tmp_path / "cut.vti").write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"cut\.vti: damaged, or not VTK image data"):
        Landscape.imported(tmp_path / "cut.vti")
    large = text.replace("0 19 0 19 0 0", "0 19999 0 19999 0 0")
    assert large != text
    (tmp_path / "large.vti").write_text(large, encoding="utf-8")
    with pytest.raises(FileFormatError, match="larger than the limit of 100,000,000"):
        Landscape.imported(tmp_path / "large.vti")
    assert capfd.readouterr().err == ""  # VTK's own words are in the message


# ---- what is none of these


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"CDF\x01" + bytes(50), "found: classic netCDF"),
        (struct.pack("<8d", *range(1, 9)), "found: bytes beginning with"),
        (b'<VTKFile type="UnstructuredGrid">', "found: VTK UnstructuredGrid"),
        (b"PK\x03\x04" + bytes(50), "found: bytes beginning with 50 4b 03 04"),
    ],
)
def test_content_that_no_format_has(tmp_path, content, words):
    (tmp_path / "x.npy").write_bytes(content)  # the name says nothing
    with pytest.raises(FileFormatError, match=words):
        Landscape.imported(tmp_path / "x.npy")


def test_no_file(tmp_path):
    with pytest.raises(FileFormatError, match="no such file"):
        Landscape.imported(tmp_path / "x.npy")
    with pytest.raises(FileFormatError, match="is a folder"):
        Landscape.imported(tmp_path)


def test_every_format_is_described(request):
    page = (request.config.rootpath / "docs" / "import.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in imports.FORMATS)
