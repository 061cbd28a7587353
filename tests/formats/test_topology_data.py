"""Persistence diagrams as TTK writes them, and the triangles of surfaces, by hand."""

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy

from losslandscape import Grid, Landscape
from losslandscape.analysis.critical_points import find_critical_points
from losslandscape.formats import file_seal
from losslandscape.formats.ply import triangles
from losslandscape.formats.topology_data import diagram_data

FIELD = np.array([[9.0, 9.0, 9.0, 9.0, 9.0], [9.0, 1.0, 5.0, 2.0, 9.5], [9.0, 9.0, 9.0, 9.0, 12.0]])


@pytest.mark.parametrize("planar", [True, False])
def test_a_diagram_has_a_line_a_pair_and_the_diagonal(planar):
    values = FIELD if planar else FIELD[1]
    grid = Grid.rectangle(values.shape[::-1], ((0, 4), (10, 12))[: values.ndim])
    landscape = Landscape(
        grid, {"loss": values}, np.ones(values.shape, np.int8), np.eye(values.ndim)
    )
    found = find_critical_points(landscape, persistence=1.0, scale="linear")
    pairs = found.complex.persistence_pairs
    data = diagram_data(landscape, found)
    of_cells, of_points = (
        {
            part.GetArrayName(i): vtk_to_numpy(part.GetArray(i))
            for i in range(part.GetNumberOfArrays())
        }
        for part in (data.GetCellData(), data.GetPointData())
    )
    count = len(pairs["Birth"])
    assert count >= 2
    ends = vtk_to_numpy(data.GetPoints().GetData()).reshape(-1, 2, 3)
    for k in range(count):
        finite, kind = pairs["IsFinite"][k] == 1, pairs["PairType"][k]
        birth, persistence = pairs["Birth"][k], pairs["Persistence"][k]
        np.testing.assert_allclose(ends[k, :, :2], [[birth, birth], [birth, birth + persistence]])
        assert of_cells["PairIdentifier"][k] == k
        assert of_cells["PairType"][k] == kind
        assert of_cells["Persistence"][k] == persistence
        assert of_cells["Birth"][k] == birth
        assert of_cells["IsFinite"][k] == finite
        assert of_cells["significant"][k] == (persistence > 1.0 if finite else kind == 0)
        # a minimum ends at a saddle; on a line, and where nothing ends it, at a maximum
        upper = 1 if finite and planar and kind == 0 else 3
        assert of_points["CriticalType"][2 * k : 2 * k + 2].tolist() == [kind, upper]
        vertices = [pairs["birth_vertex"][k], pairs["death_vertex"][k]]
        assert of_points["ttkVertexScalarField"][2 * k : 2 * k + 2].tolist() == vertices
        np.testing.assert_allclose(
            of_points["Coordinates"][2 * k : 2 * k + 2, : grid.dimensions], grid.points()[vertices]
        )
    low, high = pairs["Birth"].min(), (pairs["Birth"] + pairs["Persistence"]).max()
    np.testing.assert_allclose(ends[count, :, :2], [[low, low], [high, high]])
    assert [of_cells[n][count] for n in ("PairIdentifier", "PairType", "IsFinite")] == [-1, -1, 0]
    assert of_cells["significant"][count] == 0
    assert of_points["CriticalType"][-2:].tolist() == [-1, -1]


def test_cells_with_a_corner_that_is_not_finite_have_no_triangles(rng):
    for _ in range(20):
        finite = rng.random((4, 5)) < 0.8
        expected = set()
        for j in range(3):
            for i in range(4):
                here, right, above, across = 5 * j + i, 5 * j + i + 1, 5 * j + i + 5, 5 * j + i + 6
                if all(finite.ravel()[[here, right, above, across]]):
                    expected |= {frozenset((here, right, above)), frozenset((right, across, above))}
        found = triangles(finite)
        assert {frozenset(row) for row in found.tolist()} == expected
        assert len(found) == len(expected)


def test_seals_of_empty_and_short_files(tmp_path):
    path = tmp_path / "x"
    path.touch()
    assert file_seal.check(path) is None
    file_seal.seal(path)
    assert file_seal.check(path) is True
    path.write_bytes(path.read_bytes()[1:])
    assert file_seal.check(path) is None
