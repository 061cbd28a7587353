"""Files of Li et al.'s program, written by the calls of h5py that it makes."""

import numpy as np
import pytest

from losslandscape import Landscape
from losslandscape.errors import FileFormatError

h5py = pytest.importorskip("h5py")


def loss_at(x, y=0.0):
    """Not symmetric in x and y, so that no exchange of axes goes unseen."""
    return 10 + 3 * x + y + x * y


def write_surface(path, xs, ys=None, stop=None, spoil=()):
    """A surface as the program leaves it after ``stop`` points (all by default).

    It fills arrays of shape (x, y) with -1, numbers the points of ``meshgrid(x, y)`` and writes
    point n to the n-th element.
    """
    x, y = np.linspace(*xs[:2], num=xs[2]), None if ys is None else np.linspace(*ys[:2], num=ys[2])
    with h5py.File(path, "a") as file:
        file["dir_file"] = "some/folder/model_300.t7_weights_xignore=biasbn_xnorm=filter.h5"
        file["xcoordinates"] = x
        if y is not None:
            file["ycoordinates"] = y
        losses = -np.ones((len(x),) if y is None else (len(x), len(y)))
        file["train_loss"] = losses
        file["train_acc"] = -np.ones(losses.shape)
        if y is None:
            points = [(float(a),) for a in x]
        else:
            points = [(float(a), float(b)) for b in y for a in x]
        for number, point in enumerate(points[:stop]):
            losses.ravel()[number] = dict(spoil).get(number, loss_at(*point))
        file["train_loss"][:] = losses
        accuracies = file["train_acc"][:]
        accuracies.ravel()[: len(points[:stop])] = 62.5
        file["train_acc"][:] = accuracies
    return path


def expected(landscape):
    points = landscape.grid.points()
    return loss_at(*points.T).reshape(landscape.grid.shape)


def test_every_value_is_where_the_program_measured_it(tmp_path):
    path = write_surface(tmp_path / "surface.h5", (-1.0, 1.0, 9), (-1.0, 1.0, 9))
    landscape = Landscape.imported(path)
    assert landscape.grid.bounds == ((-1.0, 1.0), (-1.0, 1.0))
    np.testing.assert_array_equal(landscape.values("loss"), expected(landscape))
    np.testing.assert_array_equal(landscape.values("train_acc"), 62.5)
    assert (landscape.status == 1).all()
    about = landscape.provenance["imported"]
    assert about["format"] == "li-h5"
    assert about["dir_file"] == "model_300.t7_weights_xignore=biasbn_xnorm=filter.h5"
    with h5py.File(path) as file:  # bit for bit
        assert file["train_loss"][:].tobytes() == landscape.values("loss").tobytes()


def test_a_rectangle_is_taken_in_the_order_of_evaluation(tmp_path):
    path = write_surface(tmp_path / "surface.h5", (-1.0, 1.0, 5), (-0.5, 1.0, 4))
    landscape = Landscape.imported(path)
    assert landscape.grid.shape == (4, 5)
    np.testing.assert_array_equal(landscape.values("loss"), expected(landscape))
    assert any("unequal sides" in note for note in landscape.provenance["imported"]["notes"])


def test_falling_coordinates_are_put_in_order(tmp_path):
    path = write_surface(tmp_path / "surface.h5", (1.0, -1.0, 7), (0.5, -0.5, 5))
    landscape = Landscape.imported(path)
    assert landscape.grid.bounds == ((-1.0, 1.0), (-0.5, 0.5))
    np.testing.assert_allclose(landscape.values("loss"), expected(landscape), rtol=1e-12)
    assert (
        "beta falls in the file; it is put in rising order"
        in (landscape.provenance["imported"]["notes"])
    )


def test_a_line(tmp_path):
    landscape = Landscape.imported(write_surface(tmp_path / "line.h5", (-0.5, 1.5, 9)))
    assert landscape.grid.bounds == ((-0.5, 1.5),)
    np.testing.assert_array_equal(landscape.values("loss"), expected(landscape))


def test_points_not_yet_computed_and_values_not_finite(tmp_path):
    path = write_surface(
        tmp_path / "part.h5", (-1.0, 1.0, 5), (-1.0, 1.0, 5), 7, {2: np.nan, 4: np.inf}.items()
    )
    landscape = Landscape.imported(path)
    status, loss = landscape.status.ravel(), landscape.values("loss").ravel()
    assert status.tolist() == [1, 1, 3, 1, 3, 1, 1] + [0] * 18
    assert np.isnan(loss[2])
    assert loss[4] == np.inf
    assert np.isnan(loss[7:]).all()
    accuracy = landscape.values("train_acc").ravel()
    assert (accuracy[:7] == 62.5).all()
    assert np.isnan(accuracy[7:]).all()
    kept = Landscape.imported(path, not_evaluated=np.nan)  # the user's word overrides
    assert kept.status.ravel()[2] == 0
    assert (kept.values("loss").ravel()[7:] == -1).all()


def test_another_array_as_the_loss(tmp_path):
    path = write_surface(tmp_path / "surface.h5", (-1.0, 1.0, 3), (-1.0, 1.0, 3))
    with h5py.File(path, "a") as file:
        file["test_loss"] = np.arange(9.0).reshape(3, 3)
        file["max_eig"] = -np.ones((3, 3))
        file["status"] = np.arange(9).reshape(3, 3)
        file["hyperparameters"] = np.arange(4)
    landscape = Landscape.imported(path, array="test_loss")
    np.testing.assert_array_equal(landscape.values("loss").ravel(), np.arange(9.0))
    np.testing.assert_array_equal(landscape.values("train_loss"), expected(landscape))
    assert (landscape.values("max_eig") == -1).all()  # an eigenvalue may be -1
    np.testing.assert_array_equal(landscape.values("imported_status").ravel(), np.arange(9))
    assert "hyperparameters" in " ".join(landscape.provenance["imported"]["notes"])
    with pytest.raises(FileFormatError, match=r"no array 'hessian'.*found: .*train_loss"):
        Landscape.imported(path, array="hessian")


def write_directions(path, rng, second=True):
    """Directions of a model with a kernel, a bias and a counter of batch norm."""
    parts = [(3, 2, 2, 2), (3,), ()]
    with h5py.File(path, "w") as file:
        vectors = []
        for name in ("xdirection", "ydirection") if second else ("xdirection",):
            group = file.create_group(name)
            values = [rng.normal(size=shape).astype(np.float32) for shape in parts]
            for i, value in enumerate(values):
                group.create_dataset(str(i), data=value)
            vectors.append(np.concatenate([v.ravel() for v in values[:2]]).astype(np.float64))
        file["explained_variance_ratio_"] = np.array([0.8, 0.1])
    return path, np.array(vectors)


@pytest.fixture
def surface(tmp_path):
    return write_surface(tmp_path / "surface.h5", (-1.0, 1.0, 5), (-1.0, 1.0, 5))


def test_directions_give_lengths_and_the_trajectory_its_coordinates(tmp_path, surface, rng):
    directions, vectors = write_directions(tmp_path / "directions.h5", rng)
    moved = rng.normal(size=(6, vectors.shape[1]))  # off the plane
    norms = np.linalg.norm(vectors, axis=1)
    lengths = moved @ vectors.T / norms
    with h5py.File(tmp_path / "directions.h5_proj_cos.h5", "w") as file:
        file["proj_xcoord"], file["proj_ycoord"] = lengths[:, 0], lengths[:, 1]
    landscape = Landscape.imported(
        surface, directions=directions, trajectory=tmp_path / "directions.h5_proj_cos.h5"
    )
    np.testing.assert_allclose(landscape.gram_matrix, vectors @ vectors.T, rtol=1e-12)
    trajectory = landscape.trajectories[0]
    wanted = np.linalg.lstsq(vectors.T, moved.T, rcond=None)[0].T
    np.testing.assert_allclose(trajectory.coordinates, wanted, rtol=1e-10)
    assert np.isnan(trajectory.loss).all()
    assert trajectory.step.tolist() == [0, 1, 2, 3, 4, 5]
    assert set(landscape.provenance["imported"]["trajectory"]) == {"file", "sha256"}

    alone = Landscape.imported(surface, trajectory=tmp_path / "directions.h5_proj_cos.h5")
    np.testing.assert_array_equal(alone.trajectories[0].coordinates, lengths)
    assert np.isnan(alone.gram_matrix).all()

    (tmp_path / "directions.h5_proj_cos.h5").rename(tmp_path / "d_proj_lstsq.h5")
    multiples = Landscape.imported(
        surface, directions=directions, trajectory=tmp_path / "d_proj_lstsq.h5"
    )
    np.testing.assert_array_equal(multiples.trajectories[0].coordinates, lengths)


def test_companions_that_do_not_fit_are_refused(tmp_path, surface, rng):
    short, _ = write_directions(tmp_path / "one.h5", rng, second=False)
    with pytest.raises(FileFormatError, match="ydirection is missing"):
        Landscape.imported(surface, directions=short)
    with pytest.raises(FileFormatError, match=r"proj_xcoord is missing.*found: .*xdirection"):
        Landscape.imported(surface, trajectory=short)
    with pytest.raises(FileFormatError, match=r"contains directions, but no loss.*--directions"):
        Landscape.imported(short)
    with h5py.File(tmp_path / "proj.h5", "w") as file:
        file["proj_xcoord"], file["proj_ycoord"] = np.zeros(3), np.zeros(4)
    with pytest.raises(FileFormatError, match=r"projected trajectory, but no.*--trajectory"):
        Landscape.imported(tmp_path / "proj.h5")
    with pytest.raises(FileFormatError, match=r"shapes \(3,\) and \(4,\)"):
        Landscape.imported(surface, trajectory=tmp_path / "proj.h5")
    line = write_surface(tmp_path / "line.h5", (-1.0, 1.0, 5))
    with pytest.raises(FileFormatError, match="needs a 2-D surface"):
        Landscape.imported(line, trajectory=tmp_path / "proj.h5")


def test_what_was_found_in_another_hdf5_file_is_said(tmp_path, surface):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(FileFormatError, match=r"has no xcoordinates.*found: weights"):
        Landscape.imported(tmp_path / "other.h5")
    Landscape.imported(surface).save(tmp_path / "landscape.nc")
    with pytest.raises(FileFormatError, match="already a landscape file"):
        Landscape.imported(tmp_path / "landscape.nc")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_named(tmp_path, surface, share):
    content = surface.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: int(share * len(content))])
    with pytest.raises(FileFormatError, match=r"cut\.h5: damaged or truncated HDF5 file"):
        Landscape.imported(tmp_path / "cut.h5")


def test_sizes_are_checked_before_memory_is_taken(tmp_path):
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("xcoordinates", (2**40,), "f8", chunks=(1024,))
    with pytest.raises(FileFormatError, match="larger than the limit of 100,000,000"):
        Landscape.imported(tmp_path / "huge.h5")
    with h5py.File(tmp_path / "hollow.h5", "w") as file:
        file.create_dataset("xcoordinates", (10**7,), "f8", chunks=(1024,))
    with pytest.raises(FileFormatError, match=r"does not fit in a file of \d+ bytes"):
        Landscape.imported(tmp_path / "hollow.h5")


def test_other_files_are_not_read_through_this_one(tmp_path, surface):
    (tmp_path / "secret").write_bytes(np.linspace(0, 1, 5).tobytes())
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("xcoordinates", (5,), "f8", external=[(tmp_path / "secret", 0, 40)])
    with pytest.raises(FileFormatError, match="is stored in another file"):
        Landscape.imported(tmp_path / "external.h5")
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["xcoordinates"] = h5py.ExternalLink(str(surface), "/xcoordinates")
    with pytest.raises(FileFormatError, match="'xcoordinates' is not an array of numbers"):
        Landscape.imported(tmp_path / "linked.h5")


def test_uneven_coordinates_are_refused(tmp_path, surface):
    with h5py.File(surface, "a") as file:
        file["xcoordinates"][2] = 0.1
    with pytest.raises(
        FileFormatError, match=r"along alpha are not evenly spaced: number 2 is 0\.1 instead of 0"
    ):
        Landscape.imported(surface)
    with pytest.raises(FileFormatError, match="not evenly spaced"):  # bounds do not hide it
        Landscape.imported(surface, bounds=[(-1, 1), (-1, 1)])


def write_vtp(path, x, y, heights):
    """The parts of an h52vtp file that carry numbers, in its order and form."""
    points = [(a, b) for b in y for a in x]
    lines = [
        '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        "  <PolyData>",
        f'    <Piece NumberOfPoints="{len(points)}" NumberOfVerts="0" NumberOfPolys="0">',
        "      <PointData>",
        '        <DataArray type="Float32" Name="zvalue" NumberOfComponents="1" format="ascii">',
        " ".join(f"{h}" for h in heights),
        "        </DataArray>",
        "      </PointData>",
        "      <Points>",
        '        <DataArray type="Float32" Name="Points" NumberOfComponents="3" format="ascii">',
        *(f"          {a} {b} {h}" for (a, b), h in zip(points, heights)),
        "        </DataArray>",
        "      </Points>",
        "    </Piece>",
        "  </PolyData>",
        "</VTKFile>",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_vtp_keeps_every_digit_and_what_is_not_finite(tmp_path, rng):
    heights = rng.random(20) * 10
    heights[3], heights[5], heights[7] = np.nan, np.inf, -1.0
    x, y = np.linspace(-0.3, 1, 5), np.linspace(-1, 1, 4)
    path = write_vtp(tmp_path / "surface.h5_train_loss.vtp", x, y, heights)
    landscape = Landscape.imported(path)
    assert landscape.provenance["imported"]["format"] == "li-vtp"
    assert landscape.grid.bounds == ((-0.3, 1.0), (-1.0, 1.0))
    loss = landscape.values("loss")
    assert loss.shape == (4, 5)
    assert landscape.status.ravel()[[3, 5, 7, 8]].tolist() == [3, 3, 0, 1]
    wanted = np.where(heights == -1, np.nan, heights)
    np.testing.assert_array_equal(loss.ravel(), wanted)


def test_vtp_says_what_its_name_says(tmp_path, rng):
    x = np.linspace(-1, 1, 3)
    path = write_vtp(tmp_path / "s.h5_train_loss_zmax=10_log.vtp", x, x, np.arange(9.0) - 2)
    landscape = Landscape.imported(path)
    assert landscape.provenance["quantities"]["loss"] == "ln(train loss + 0.1)"
    assert landscape.values("loss")[0, 1] == -1  # a logarithm, not a mark
    assert "above 10 were cut" in " ".join(landscape.provenance["imported"]["notes"])


def test_vtp_of_something_else_is_refused(tmp_path):
    x = np.linspace(-1, 1, 3)
    path = write_vtp(tmp_path / "s.vtp", x, x, np.arange(9.0))
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(FileFormatError, match="damaged or truncated"):
        Landscape.imported(path)
    path.write_text('<!DOCTYPE a [<!ENTITY b "c">]>\n' + text, encoding="utf-8")
    with pytest.raises(FileFormatError, match="contains XML declarations"):
        Landscape.imported(path)
    path.write_text(text.replace("-1.0 -1.0 0.0", "-0.9 -1.0 0.0"), encoding="utf-8")
    with pytest.raises(FileFormatError, match="not run along x, row by row"):
        Landscape.imported(path)
