"""Flat regions against ellipses and ellipsoids, slow references, and scikit-image."""

import json

import numpy as np
import pytest
import torch
from skimage.measure import find_contours, marching_cubes, mesh_surface_area
from torch import nn
from vtkmodules.vtkFiltersCore import vtkMassProperties
from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

from losslandscape import Grid, Landscape, Objective, Subspace
from losslandscape.analysis.flatness import BasinOfMinimum, flat_region
from losslandscape.analysis.region_errors import trusted_rise
from losslandscape.analysis.sharpness import epsilon_sharpness
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError
from losslandscape.landscape.arrays import of_array
from losslandscape.landscape.landscape import INTERPOLATED


def landscape_of(grid, values, gram=None):
    values = np.asarray(values, dtype=float).reshape(grid.shape)
    gram = np.eye(grid.dimensions) if gram is None else gram
    return Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), gram)


def quadratic(grid, semi_axes, rotation, centre=0.0, minimum=0.0):
    """A bowl whose set {L <= L_min + 1} has these semi-axes, in cells."""
    shifted = grid.points() - centre
    lengths = np.array(semi_axes) * grid.spacing[0]
    matrix = rotation @ np.diag(1 / lengths**2) @ rotation.T
    return landscape_of(grid, np.einsum("ni,ij,nj->n", shifted, matrix, shifted) + minimum)


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize("semi_axes", [(7, 7), (7, 20), (9, 12)])
@pytest.mark.parametrize("angle", [0.0, 0.3, 0.8])
@pytest.mark.parametrize(("scale", "minimum"), [("linear", 0.0), ("log", 1e-4), ("log", 0.5)])
def test_an_ellipses_area_is_within_one_percent(semi_axes, angle, scale, minimum):
    grid = Grid.square(51)
    area = np.pi * np.prod(semi_axes) * grid.spacing[0] ** 2
    for centre in (0.0, (0.013, -0.007)):
        bowl = quadratic(grid, semi_axes, rotation(angle), centre, minimum)
        found = flat_region(bowl, 1.0 + minimum - bowl.values().min(), scale=scale)
        assert found.size == pytest.approx(area, rel=0.01)
        assert found.resolved
        assert not found.lower_bound
        np.testing.assert_allclose(found.semi_axes, semi_axes, rtol=0.01)


@pytest.mark.parametrize("semi_axes", [(6, 6, 6), (6, 8, 11)])
@pytest.mark.parametrize(("scale", "minimum"), [("linear", 0.0), ("log", 0.01)])
def test_an_ellipsoids_volume_is_within_three_percent(semi_axes, scale, minimum):
    grid = Grid.cube(31)
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    found = flat_region(quadratic(grid, semi_axes, turned, minimum=minimum), 1.0, scale=scale)
    volume = 4 / 3 * np.pi * np.prod(semi_axes) * grid.spacing[0] ** 3
    assert found.size == pytest.approx(volume, rel=0.03)
    assert found.resolved
    assert not found.lower_bound


def test_a_length_is_exact_where_the_loss_is_linear():
    grid = Grid.line(11, 1.0)
    found = flat_region(landscape_of(grid, abs(grid.points()[:, 0])), 0.35, scale="linear")
    assert found.size == pytest.approx(0.7)
    assert found.measure == "length"


@pytest.mark.parametrize("seed", range(5))
def test_a_region_is_that_of_a_flood_fill_and_of_scikit_images_contours(seed):
    rng = np.random.default_rng(seed)
    grid = Grid.rectangle((24, 19), ((-1, 1), (-0.5, 1)))
    field = rng.standard_normal((19, 24))
    for _ in range(4):  # smooth: neighbours across squares then agree
        field = (field + np.roll(field, 1, 0) + np.roll(field, 1, 1) + np.roll(field, -1, 0)) / 4
    field -= field.min()
    found = flat_region(landscape_of(grid, field + 1), 0.3 * field.max(), scale="linear")
    level = 0.3 * field.max()
    # flood fill along the triangulation's edges
    member, stack = set(), [np.unravel_index(field.argmin(), field.shape)]
    while stack:
        j, i = stack.pop()
        if not (0 <= j < 19 and 0 <= i < 24) or (j, i) in member or field[j, i] > level:
            continue
        member.add((j, i))
        ring = [(0, 1), (1, 0), (0, -1), (-1, 0), (1, -1), (-1, 1)]
        stack += [(j + dj, i + di) for dj, di in ring]
    expected = np.zeros(field.shape, bool)
    expected[tuple(np.array(sorted(member)).T)] = True
    np.testing.assert_array_equal(found.region.vertices, expected)
    touches = expected[0].any() or expected[-1].any() or expected[:, [0, -1]].any()
    assert found.lower_bound == touches
    # the area, by contours of the member part closed along a raised border
    masked = np.where(expected | (field > level), field, level + 1.0)
    padded = np.pad(masked, 1, constant_values=1e9)  # the border lies within 1e-9 of the window
    area = 0.0
    for line in find_contours(padded, level):
        y, x = line.T
        area += 0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])
    area = abs(area) * np.prod(grid.spacing)
    assert found.size == pytest.approx(area, rel=0.06)  # triangles against squares


def test_a_volumes_surface_is_closed_and_agrees_with_marching_cubes():
    grid = Grid.cube(21)
    bowl = quadratic(grid, (6, 7, 8), np.eye(3))
    found = flat_region(bowl, 1.0, scale="linear")
    corners = found.region.points[found.region.outline]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # volume by the divergence theorem, facets oriented outwards from the centre
    signed = np.einsum("ki,ki->k", normals, corners.mean(axis=1)) / 6
    assert abs(signed).sum() == pytest.approx(found.size, rel=1e-9)
    vertices, faces, _, _ = marching_cubes(bowl.values(), 1.0, spacing=grid.spacing)
    area = np.linalg.norm(normals, axis=1).sum() / 2
    assert area == pytest.approx(mesh_surface_area(vertices, faces), rel=0.02)


def test_the_gram_matrix_converts_to_parameter_space():
    grid = Grid.square(41)
    first, second = np.array([2.0, 0.0, 0.0]), np.array([1.0, 3.0, 0.0])
    gram = np.array([[first @ first, first @ second], [first @ second, second @ second]])
    bowl = quadratic(grid, (8, 8), np.eye(2))
    bowl.gram_matrix = gram
    found = flat_region(bowl, 1.0)
    parallelogram = np.linalg.norm(np.cross(first, second))
    assert found.parameter_size == pytest.approx(found.size * parallelogram)
    bowl.gram_matrix = np.full((2, 2), np.nan)
    assert np.isnan(flat_region(bowl, 1.0).parameter_size)
    assert "parameter space" not in flat_region(bowl, 1.0).summary()[0]


def test_a_region_that_reaches_the_edge_is_a_lower_bound_closed_along_it():
    grid = Grid.square(41)
    half_disc = quadratic(grid, (10, 10), np.eye(2), centre=(1.0, 0.0))
    found = flat_region(half_disc, 1.0)
    assert found.lower_bound
    assert "a lower bound" in " ".join(found.summary())
    area = np.pi * 100 / 2 * grid.spacing[0] ** 2
    assert found.size == pytest.approx(area, rel=0.01)
    hole = quadratic(grid, (10, 10), np.eye(2))
    hole.fields["loss"][20, 25] = np.nan
    assert flat_region(hole, 1.0).lower_bound


def test_only_the_minimums_own_component_counts():
    grid = Grid.rectangle((81, 41), ((-2, 2), (-1, 1)))
    x, y = grid.points().T
    wells = landscape_of(grid, 10 * ((x**2 - 1) ** 2 + y**2) + 0.2 * x + 1)
    left = flat_region(wells, 1.0, scale="linear")
    assert left.minimum[0] < 0
    assert left.region.points[:, 0].max() < 0
    right = flat_region(wells, 1.0, scale="linear", minimum=(1.0, 0.0))
    assert right.region.points[:, 0].min() > 0
    whole = flat_region(wells, 20.0, scale="linear")
    assert whole.size > left.size + right.size


def test_a_narrow_region_is_unresolved_and_the_proposed_grid_resolves_it():
    coarse = Grid.square(51)
    found = flat_region(quadratic(coarse, (2, 15), rotation(0.4)), 1.0)
    assert not found.resolved
    assert "--bounds=" in " ".join(found.summary())
    fine = found.proposed_grid()
    lengths = np.array([2, 15]) * coarse.spacing[0]
    turned = rotation(0.4)
    matrix = turned @ np.diag(1 / lengths**2) @ turned.T
    again = flat_region(
        landscape_of(fine, np.einsum("ni,ij,nj->n", fine.points(), matrix, fine.points())), 1.0
    )
    assert again.resolved
    assert not again.lower_bound
    assert again.size == pytest.approx(np.pi * lengths.prod(), rel=0.02)


def test_the_curve_grows_with_epsilon():
    bowl = quadratic(Grid.square(31), (7, 9), np.eye(2))
    curve = BasinOfMinimum(bowl).curve()
    sizes = [row["size"] for row in curve]
    assert sizes == sorted(sizes)
    assert 0.1 in [round(row["epsilon"], 9) for row in curve]
    assert curve[-1]["lower_bound"]


def test_a_factor_is_warned_of():
    bowl = quadratic(Grid.square(31), (7, 7), np.eye(2), minimum=0.5)
    found = flat_region(bowl, factor=2.0)
    assert found.epsilon == pytest.approx(0.5)
    assert "worse" in " ".join(found.summary())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0}, "above 0"),
        ({"epsilon": np.nan}, "above 0"),
        ({"factor": 1.0}, "above 1"),
        ({"factor": 2.0}, "no tolerance"),
        ({"minimum": (1.0,)}, "1 coordinate was given for 2"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(LossLandscapeError, match=message):
        flat_region(quadratic(Grid.square(11), (3, 3), np.eye(2)), **options)


class Bowl(nn.Module):
    def __init__(self):
        super().__init__()
        self.position = nn.Parameter(torch.tensor([3.0, -1.0], dtype=torch.float64))

    def forward(self, inputs):
        x, y = self.position
        return (4 * (x - 3) ** 2 + (y + 1) ** 2 + 1).expand(len(inputs))


def test_epsilon_sharpness_is_the_highest_loss_in_the_box():
    model = Bowl()
    objective = Objective(
        model, lambda model, batch: model(batch[0]), (torch.zeros(2, 1, dtype=torch.float64),)
    )
    directions = [{"position": torch.tensor(d, dtype=torch.float64)} for d in ((2, 0), (0, 1))]
    plane = Subspace(dict(model.named_parameters()), directions)
    found = epsilon_sharpness(objective, plane, (0.0, 0.0), epsilon=0.1)
    # A^+ x = (3 / 2, -1): the box is 0.1 (2.5, 2) to either side
    np.testing.assert_allclose(found.box, [[-0.25, 0.25], [-0.2, 0.2]])
    highest = 4 * 0.5**2 + 0.2**2 + 1
    assert found.value == pytest.approx(100 * (highest - 1) / (1 + 1))
    np.testing.assert_allclose(found.hessian_eigenvalues, [2.0, 32.0])
    assert found.gradient_norm == pytest.approx(0.0, abs=1e-12)
    off = epsilon_sharpness(objective, plane, (0.1, 0.0), epsilon=0.1)
    low, high = np.array(off.box).T
    x, y = np.meshgrid(np.linspace(low[0], high[0], 201), np.linspace(low[1], high[1], 201))
    lattice = 16 * x**2 + y**2 + 1
    assert off.highest_loss >= lattice.max() - 1e-9


def test_the_verb_writes_the_region_and_its_outline(tmp_path, capsys):
    file = tmp_path / "bowl.nc"
    grid = Grid.square(51)
    quadratic(grid, (8, 11), rotation(0.3), minimum=1.0).save(file)
    assert main(["flatness", str(file), "--epsilon", "1"]) == 0
    printed = capsys.readouterr().out
    assert "area" in printed
    assert "lower bound" in printed  # a column of the curve
    folder = tmp_path / "bowl_flatness"
    report = json.loads((folder / "flatness.json").read_text())
    assert report["resolved"]
    assert len(report["curve"]) == 17
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(folder / "flat_region.vtp"))
    reader.Update()
    mass = vtkMassProperties()
    mass.SetInputData(reader.GetOutput())
    mass.Update()
    assert mass.GetSurfaceArea() == pytest.approx(report["size"], rel=1e-6)
    low, high = reader.GetOutput().GetPointData().GetArray("loss").GetRange()
    assert (low, high) == pytest.approx((1.0, 2.0))
    reader.SetFileName(str(folder / "flat_region_outline.vtp"))
    reader.Update()
    assert reader.GetOutput().GetNumberOfLines() > 30
    assert (folder / "flat_region.vti").exists()
    assert main(["flatness", str(file)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["flatness", str(file), "--sharpness", "--overwrite"]) == 1
    assert "does not name its model" in capsys.readouterr().err


@pytest.mark.parametrize("dimensions", [1, 3])
def test_the_verb_on_a_line_and_on_a_volume(tmp_path, dimensions):
    file = tmp_path / "bowl.nc"
    grid = (Grid.line(31), Grid.cube(15))[dimensions == 3]
    quadratic(grid, (5,) * dimensions, np.eye(dimensions), minimum=1.0).save(file)
    assert main(["flatness", str(file), "--epsilon", "1"]) == 0
    names = {path.name for path in (tmp_path / "bowl_flatness").iterdir()}
    region = "flat_region.vtu" if dimensions == 3 else "flat_region.vtp"
    assert names == {region, "flat_region_outline.vtp", "flat_region.vti", "flatness.json"}


@pytest.mark.parametrize("minimum", [(100.0, 100.0), (-1e9, 0.0)])
def test_a_minimum_outside_the_window_is_refused(minimum):
    grid = Grid.square(9)
    values = 1 + (grid.points() ** 2).sum(axis=1).reshape(grid.shape)
    found = Landscape(grid, {"loss": values}, np.ones(grid.shape, np.int8), np.eye(2))
    with pytest.raises(LossLandscapeError, match="not a point of the landscape's window"):
        flat_region(found, 0.1, minimum=minimum)


def test_the_region_of_a_v_shaped_loss_is_read_off_it():
    grid = Grid.rectangle((9, 5), ((0, 16), (-1, 1)))
    x, y = grid.points().T
    measured = landscape_of(grid, 2.0 + abs(x - 6.0) / 2 + 0 * y, np.diag([4.0, 9.0]))
    found = flat_region(measured, 1.5, scale="linear")
    assert found.minimum_loss == 2.0
    assert found.minimum.tolist() == [6.0, -1.0]
    assert found.size == pytest.approx(6.0 * 2.0)
    assert found.parameter_size == pytest.approx(6.0 * 2.0 * 2 * 3)
    assert found.lower_bound
    # a box of 6 x 2 has the second moments of an ellipse of semi-axes side / sqrt(3)
    np.testing.assert_allclose(found.semi_axes, np.array([3.0, 4.0]) / np.sqrt(3))
    assert found.loss.max() == pytest.approx(3.5)
    log = flat_region(measured, 1.5, scale="log")
    assert log.loss.max() == pytest.approx(3.5)
    assert log.loss.min() == pytest.approx(2.0)
    assert log.size == pytest.approx(12.0, rel=0.1)


def test_the_proposed_grid_is_a_quarter_wider_and_has_eight_cells_across_the_shorter_axis():
    grid = Grid.rectangle((41, 41), ((-4, 4), (8, 12)))  # spacings of 0.2 and 0.1
    x, y = grid.points().T
    found = flat_region(landscape_of(grid, (x / 0.8) ** 2 + ((y - 9.9) / 1.6) ** 2), 1.0)
    shortest = found.semi_axes[0]
    assert shortest == pytest.approx(4.0, rel=0.05)
    low, high = found.region.points.min(axis=0), found.region.points.max(axis=0)
    proposed = found.proposed_grid()
    bounds = np.array(proposed.bounds)
    np.testing.assert_allclose(bounds[:, 1] - bounds[:, 0], 1.25 * (high - low))
    np.testing.assert_allclose(bounds.mean(axis=1), (low + high) / 2)
    finer = np.array(grid.spacing) * shortest / 8
    counts = np.ceil(1.25 * (high - low) / finer).astype(int) + 1
    assert proposed.counts == tuple(np.maximum(counts, 51))
    assert proposed.counts[1] > 51  # so that the formula shows


def test_the_proposed_grid_of_a_region_within_a_cell_stays_within_401_points():
    grid = Grid.line(11)
    values = np.where(np.arange(11) == 5, 0.0, 100.0)
    proposed = flat_region(landscape_of(grid, values), 0.01, scale="linear").proposed_grid()
    # not narrower than a quarter more than a cell to either side
    np.testing.assert_allclose(proposed.bounds, [(-0.25, 0.25)])
    assert proposed.counts == (2 * 40 + 1,)  # 8 cells to a quarter of a cell
    wide = np.abs(np.linspace(-1, 1, 2001))
    steep = Grid.rectangle((2001, 3), ((-1, 1), (-1, 1)))
    field = wide + 3000 * abs(steep.points()[:, 1]).reshape(3, 2001)
    narrow = flat_region(landscape_of(steep, field), 0.5, scale="linear").proposed_grid()
    assert narrow.counts[0] == 401


def test_a_region_is_resolved_from_six_cells_less_a_tenth_on():
    grid = Grid.square(51)
    for cells, resolved in ((5.8, False), (6.0, True)):
        found = flat_region(quadratic(grid, (cells, cells), np.eye(2)), 1.0)
        assert found.thickness == pytest.approx(cells, abs=0.1)
        assert found.resolved == resolved
        assert (found.to_json()["proposed_grid"] is None) == resolved


def test_an_asked_for_minimum_is_the_nearest_grid_point_in_cells():
    grid = Grid.rectangle((11, 3), ((0, 10), (0, 200)))
    values = grid.points().sum(axis=1)
    for wanted, nearest in (((3.4, 60.0), [3.0, 100.0]), ((3.6, 40.0), [4.0, 0.0])):
        assert (
            BasinOfMinimum(landscape_of(grid, values), minimum=wanted).minimum.tolist() == nearest
        )
    # up to a cell outside along each axis: rounded coordinates of a corner are inside
    corner = BasinOfMinimum(landscape_of(grid, values), minimum=(-0.9, 290.0))
    assert corner.minimum.tolist() == [0.0, 200.0]
    with pytest.raises(LossLandscapeError, match="window"):
        BasinOfMinimum(landscape_of(grid, values), minimum=(-1.5, 100.0))


def test_a_minimum_without_a_value_or_without_neighbours_is_refused():
    values = np.array([[1.0, 2.0, 3.0], [2.0, np.nan, 4.0], [5.0, 4.0, 3.0]])
    with pytest.raises(LossLandscapeError, match="no finite loss"):
        flat_region(landscape_of(Grid.square(3), values), 0.1, minimum=(0.0, 0.0))
    alone = np.array([np.nan, 1.0, np.nan, 3.0, 4.0])
    with pytest.raises(LossLandscapeError, match="no neighbors"):
        flat_region(landscape_of(Grid.line(5), alone), 0.1)
    assert flat_region(landscape_of(Grid.line(5), alone), 0.1, minimum=(0.5,)).lower_bound


def test_a_factor_is_of_the_minimums_loss():
    bowl = quadratic(Grid.square(31), (7, 7), np.eye(2), minimum=0.5)
    third, epsilon = flat_region(bowl, factor=1.5), flat_region(bowl, 0.25)
    assert third.size == epsilon.size
    assert (third.factor, epsilon.factor) == (1.5, None)
    assert any("0.5 times" in line for line in third.summary())
    assert not any("times" in line for line in epsilon.summary())
    for factor in (1.0, 0.5, np.inf, np.nan):
        with pytest.raises(LossLandscapeError, match=r"above 1|must be a finite"):
            flat_region(bowl, factor=factor)
    with pytest.raises(LossLandscapeError, match="above 0"):
        flat_region(bowl, np.inf)


def test_the_json_holds_the_numbers_of_the_region():
    bowl = quadratic(Grid.square(31), (7, 9), np.eye(2), minimum=0.5)
    found = flat_region(bowl, 0.5, scale="linear")
    written = found.to_json()
    for key in ("epsilon", "scale", "minimum_loss", "measure", "size", "parameter_size"):
        assert written[key] == getattr(found, key)
    assert written["measure"] == "area"
    assert written["semi_axes_in_cells"].tolist() == found.semi_axes.tolist()
    assert written["minimum_interpolated"] is False
    volume = flat_region(quadratic(Grid.cube(7), (2, 2, 2), np.eye(3)), 1.0)
    assert volume.measure == "volume"


def test_the_curve_is_the_region_of_each_epsilon():
    basin = BasinOfMinimum(quadratic(Grid.square(31), (7, 9), np.eye(2)))
    for row in basin.curve((0.3, 1.0, 50.0)):
        region = basin.region(row["epsilon"])
        assert row == {
            "epsilon": region.epsilon, "size": region.size, "parameter_size": region.parameter_size,
            "lower_bound": region.lower_bound, "resolved": region.resolved,
        }  # fmt: skip
    epsilons = [row["epsilon"] for row in basin.curve()]
    np.testing.assert_allclose(epsilons, [10 ** (-3 + i / 4) for i in range(17)])


def test_interpolated_points_in_and_beside_the_region_are_counted():
    grid = Grid.line(11)
    values = abs(np.arange(11) - 5.0)
    for place, count, at_minimum in ((5, 1, True), (3, 1, False), (2, 1, False), (1, 0, False)):
        measured = landscape_of(grid, values)
        measured.status[place] = INTERPOLATED
        found = flat_region(measured, 2.5, scale="linear")  # holds 3 to 7, and 2 is beside it
        assert found.interpolation.interpolated == count
        assert found.minimum_interpolated == at_minimum
        assert any("the minimum is one" in line for line in found.summary()) == at_minimum


class Ridge(nn.Module):
    """A loss whose greatest value in a box around 0 lies inside it along x, on its edge along y."""

    def __init__(self):
        super().__init__()
        self.position = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, inputs):
        x, y = self.position
        return (2 - 3 * (x - 0.03) ** 2 + y).expand(len(inputs))


def test_epsilon_sharpness_finds_a_maximum_between_the_points_of_the_lattice():
    model = Ridge()
    objective = Objective(
        model, lambda model, batch: model(batch[0]), (torch.zeros(2, 1, dtype=torch.float64),)
    )
    directions = [{"position": torch.tensor(d, dtype=torch.float64)} for d in ((1, 0), (0, 1))]
    plane = Subspace(dict(model.named_parameters()), directions)
    found = epsilon_sharpness(objective, plane, (0.0, 0.0), epsilon=0.1)
    np.testing.assert_allclose(found.box, [[-0.1, 0.1], [-0.1, 0.1]])
    assert found.highest_loss == pytest.approx(2.1, rel=1e-9)
    np.testing.assert_allclose(found.highest_position, [0.03, 0.1], atol=1e-6)
    here = 2 - 3 * 0.03**2
    assert found.loss == pytest.approx(here)
    assert found.value == pytest.approx(100 * (2.1 - here) / (1 + here), rel=1e-7)
    assert found.gradient_norm == pytest.approx(np.hypot(0.18, 1.0))
    np.testing.assert_allclose(found.hessian_eigenvalues, [-6.0, 0.0], atol=1e-12)
    assert found.epsilon == 0.1
    assert epsilon_sharpness(objective, plane, (0.0, 0.0)).epsilon == 1e-3
    off = epsilon_sharpness(objective, plane, (0.5, -3.0), epsilon=0.1)
    np.testing.assert_allclose(off.box, [[0.35, 0.65], [-3.4, -2.6]])
    np.testing.assert_allclose(off.highest_position, [0.35, -2.6])
    assert off.position == [0.5, -3.0]
    assert off.to_json()["box"] == off.box


@pytest.mark.parametrize("epsilon", [0.0, -1.0, np.inf, np.nan])
def test_a_box_of_no_size_or_without_end_is_refused(epsilon):
    model = Ridge()
    objective = Objective(model, lambda model, batch: model(batch[0]), (torch.zeros(2, 1),))
    line = Subspace(dict(model.named_parameters()), [{"position": torch.ones(2).double()}])
    with pytest.raises(LossLandscapeError, match="epsilon"):
        epsilon_sharpness(objective, line, (0.0,), epsilon=epsilon)


def test_sharpness_where_the_loss_is_not_finite_is_refused():
    model = Ridge()
    objective = Objective(
        model, lambda model, batch: model(batch[0]) / 0, (torch.zeros(2, 1, dtype=torch.float64),)
    )
    direction = {"position": torch.tensor([1.0, 0.0], dtype=torch.float64)}
    line = Subspace(dict(model.named_parameters()), [direction])
    with pytest.raises(LossLandscapeError, match="inf"):
        epsilon_sharpness(objective, line, (0.0,))


def ring(grid, radius, half_width):
    """A loss whose set {L <= 1} is a ring; lengths in cells."""
    r = np.linalg.norm(grid.points(), axis=1) / grid.spacing[0]
    return landscape_of(grid, ((r - radius) / half_width) ** 2)


def star(grid, radius, depth, rays):
    """A loss whose set {L <= 1} is a star with round rays; the radius in cells."""
    x, y = grid.points().T / grid.spacing[0]
    edge = radius * (1 + depth * np.cos(rays * np.arctan2(y, x)))
    return landscape_of(grid, (np.hypot(x, y) / edge) ** 2)


@pytest.mark.parametrize("half_width", [0.8, 1.5, 2.0, 2.5, 3.2, 4.0])
def test_a_thin_ring_is_resolved_only_where_its_area_is_right(half_width):
    grid = Grid.square(51)
    lowest = grid.spacing[0] * np.array([14.0, 0.0])  # a grid point on the ring
    basin = BasinOfMinimum(ring(grid, 14.0, half_width), "linear", lowest)
    found = basin.region(1.0 - basin.loss)
    area = 4 * np.pi * 14.0 * half_width * grid.spacing[0] ** 2
    off = abs(found.size / area - 1)
    assert found.thickness == pytest.approx(2 * half_width, rel=0.25)
    assert found.semi_axes[0] > 12  # which say nothing of a ring's width
    if found.resolved:
        assert off < 0.02
    if half_width < 2.5:
        assert not found.resolved
    if half_width >= 3.2:
        assert found.resolved


def test_no_random_shape_that_is_resolved_is_more_than_two_percent_off(rng):
    grid = Grid.square(51)
    cell = grid.spacing[0] ** 2
    resolved = 0
    for _ in range(25):
        radius, depth = rng.uniform(5, 14), rng.uniform(0, 0.6)
        found = flat_region(star(grid, radius, depth, int(rng.integers(2, 7))), 1.0, scale="linear")
        area = np.pi * radius**2 * (1 + depth**2 / 2) * cell
        off = abs(found.size / area - 1)
        resolved += found.resolved
        assert not found.resolved or off < 0.02
        # the estimate is of the error's size
        assert off < 3 * found.errors.discretization / found.size + 1e-3
    assert resolved >= 5


def test_a_region_beside_a_missing_value_has_an_unknown_error_and_is_not_resolved():
    grid = Grid.square(51)
    bowl = quadratic(grid, (10, 10), np.eye(2))
    bowl.fields["loss"][25, 37] = np.nan
    found = flat_region(bowl, 1.0)
    assert np.isnan(found.errors.discretization)
    assert not found.resolved
    assert "an unknown amount" in " ".join(found.summary())


def test_interpolated_points_widen_the_size_by_their_errors():
    grid = Grid.square(51)
    bowl = quadratic(grid, (10, 10), np.eye(2))
    bowl.status[:] = INTERPOLATED
    bowl.status[25, 25] = 1
    bowl.fields["loss_interpolation_error"] = np.full(grid.shape, 0.1)
    found = flat_region(bowl, 1.0, scale="linear")
    # {L <= 1 -+ 0.1} are discs of area pi r^2 (1 -+ 0.1)
    assert found.errors.interpolation == pytest.approx(0.1 * found.size, rel=0.02)
    assert flat_region(quadratic(grid, (10, 10), np.eye(2)), 1.0).errors.interpolation == 0.0


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_sampling_interval_of_the_size_is_that_of_drawing_again(scale):
    grid = Grid.square(31)
    height = (grid.points() ** 2).sum(axis=1).reshape(grid.shape)

    def drawn(rng):
        """Sample i has the loss a_i r^2 + 0.5: the mean bowl is as steep as the mean of a."""
        steepness = rng.gamma(2.0, size=60)
        losses = height[..., None] * steepness + 0.5
        found = landscape_of(grid, losses.mean(axis=-1))
        found.samples["loss_samples"] = losses.astype(np.float32)
        return found

    rng = np.random.default_rng(0)
    one = flat_region(drawn(rng), 0.5, scale=scale, draws=200)
    low, high = one.errors.sampling
    again = [flat_region(drawn(rng), 0.5, scale=scale, draws=0).size for _ in range(100)]
    assert np.std(again) * 3.92 == pytest.approx(high - low, rel=0.4)
    assert low < one.size < high
    # the population's: {2 r^2 <= 0.5} is a disc of area pi / 4
    assert low < np.pi / 4 < high


def sampled(grid, losses):
    """A landscape of the mean of per-sample losses, shape (points, samples)."""
    found = landscape_of(grid, losses.mean(axis=-1))
    found.samples["loss_samples"] = losses.reshape(*grid.shape, -1).astype(np.float32)
    return found


def test_a_factor_is_one_of_each_draws_own_minimum(rng):
    # losses c (1 + r^2): {L <= 1.25 L_min} is the disc r^2 <= 0.25 whatever is drawn
    grid = Grid.square(41)
    bowl = 1 + (grid.points() ** 2).sum(axis=1)
    losses = bowl[:, None] * rng.gamma(1.0, size=50)
    found = flat_region(sampled(grid, losses), factor=1.25, scale="linear", draws=50)
    low, high = found.errors.sampling
    assert high - low < 1e-3 * found.size


def test_draws_that_reach_the_edge_or_have_a_minimum_of_zero_are_counted(rng):
    grid = Grid.square(15)
    height = (grid.points() ** 2).sum(axis=1)
    losses = height[:, None] * np.where(np.arange(20) < 2, 5.0, 0.0) + 1e-9
    losses[grid.size // 2] = 0.0
    losses[grid.size // 2, 0] = 1e-9
    found = flat_region(sampled(grid, losses), 0.3, scale="log", draws=100)
    low, high = found.errors.sampling
    assert low > 0  # a draw whose minimum is 0 has a region all the same
    assert high == pytest.approx(4.0, rel=1e-3)  # draws without the two: the whole window
    assert found.errors.draws_at_edge > 0
    assert "reach the window's edge" in " ".join(found.summary())


@pytest.mark.parametrize(
    ("share", "count", "trusted"), [(1.0, 2000, True), (0.02, 60, False), (1.0, 100, False)]
)
def test_a_sampling_interval_of_few_samples_warns(share, count, trusted):
    # two of 60 samples rise at all; beside 100 samples, those not drawn could rise as much as any
    rng = np.random.default_rng(1)
    grid = Grid.square(17)
    height = (grid.points() ** 2).sum(axis=1)
    steepness = rng.exponential(size=count) * (np.arange(count) < max(2, share * count))
    found = flat_region(
        sampled(grid, height[:, None] * steepness), 0.4 * steepness.mean(), scale="linear", draws=20
    )
    assert found.errors.sampling_trusted is trusted
    warned = [
        "do not trust this interval: too few samples" in found.summary()[1],
        "may be smaller than this interval" in found.summary()[1],
    ]
    assert warned == [share < 1, share == 1 and not trusted]
    assert found.to_json()["size_errors"]["sampling_trusted"] is trusted
    if share < 1:
        assert found.errors.effective_samples == 1


def test_a_trusted_rise_counts_the_samples_that_carry_it():
    grid = Grid.line(5)
    losses = np.zeros((5, 6))
    losses[[0, 4], :3] = [3.0, 3.0, 3.0]
    losses[2] = 1.0
    line = landscape_of(grid, losses.mean(axis=-1))
    line.samples["loss_samples"] = losses
    edge = np.array([True, False, False, False, True])
    inside = np.array([False, True, True, True, False])
    # rises of 2, 2, 2, -1, -1, -1: all deviate alike, so three carry half
    assert trusted_rise(line, edge, inside, 2)[0] == 3
    assert trusted_rise(line, np.zeros(5, bool), inside, 2) is None
    # of an interpolated minimum the lowest evaluated point of the region takes the place
    losses[1] = [9.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    losses[2] = np.nan
    line.fields["loss"] = np.array([1.5, 1.5, 0.9, 0.0, 1.5])
    losses[3, 0] = -30.0
    assert trusted_rise(line, edge, inside, 2)[0] == 1
    losses[[1, 3]] = np.nan
    assert trusted_rise(line, edge, inside, 2) is None
    line.samples.clear()
    assert trusted_rise(line, edge, inside, 2) is None


@pytest.mark.parametrize(
    "name",
    ["test_accuracy", "Accuracy", "acc", "train_acc", "accuracy_top1", "Acc@1", "top5_acc", "f1",
     "mIoU", "recall", "return"],
)  # fmt: skip
def test_a_score_has_no_flat_region(name):
    line = line_of_fields(name)
    assert flat_region(of_array(line, "loss"), 0.1).minimum == (0.0,)
    for measure in (flat_region, BasinOfMinimum):
        with pytest.raises(LossLandscapeError, match=f"'{name}' is best where it is largest"):
            measure(of_array(line, name), *[0.1][: measure is flat_region])


def line_of_fields(name):
    values = np.array([2.0, 1, 0, 1, 2])
    fields = {"loss": values, name: 1 - values / 2}
    return Landscape(Grid.line(5), fields, np.ones(5, np.int8), np.eye(1))


@pytest.mark.parametrize(
    "name", ["error_rate", "top5_error", "top-5", "perplexity", "dice_loss", "1 - accuracy", "β"]
)
def test_the_region_of_another_quantity_says_that_it_is_around_the_lowest(name):
    words = f"around the lowest '{name}': if larger values are better"
    found = "\n".join(flat_region(of_array(line_of_fields(name), name), 0.1).summary())
    assert (words in found) == (name != "dice_loss")
    assert "around the lowest" not in str(flat_region(line_of_fields(name), 0.1).summary())


def test_an_imported_accuracy_in_the_place_of_the_loss_has_no_flat_region():
    for about in ({"imported": {"array": "train_acc"}}, {"quantities": {"loss": "accuracy (%)"}}):
        line = line_of_fields("x")
        line.provenance.update(about)
        with pytest.raises(LossLandscapeError, match="best where it is largest"):
            flat_region(line, 0.1)
        assert flat_region(of_array(line, "x"), 0.1).array == "x"
