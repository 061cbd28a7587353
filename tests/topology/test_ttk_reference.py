"""Results of TTK on a set of fields: the same cells, values, paths, pairs and labels."""

from pathlib import Path

import numpy as np
import pytest

from losslandscape import topology
from losslandscape.topology.separatrices import CELL_ARRAYS, POINT_ARRAYS

REFERENCES = sorted((Path(__file__).parent / "ttk_reference").glob("*.npz"))
# Positions are single-precision; builds of TTK with fused multiply-add differ in the last bit.
LAST_BIT = 2e-7


@pytest.fixture(scope="module", params=REFERENCES, ids=lambda path: path.stem)
def case(request):
    with np.load(request.param) as file:
        ttk = dict(file)
    complex_ = topology.morse_smale_complex(
        ttk["values"], ttk["origin"], ttk["spacing"], float(ttk["persistence"])
    )
    return ttk, complex_


def test_all_references_exist():
    assert len(REFERENCES) == 29


@pytest.mark.parametrize(
    "name",
    ["CellDimension", "CellId", "loss", "IsOnBoundary", "ttkVertexScalarField", "ManifoldSize"],
)
def test_critical_points(case, name):
    ttk, complex_ = case
    expected = ttk[f"critical_point_{name}"]
    np.testing.assert_array_equal(complex_.critical_points[name], expected)
    assert complex_.critical_points[name].dtype == expected.dtype


def test_critical_positions(case):
    ttk, complex_ = case
    points = complex_.critical_points["points"]
    np.testing.assert_allclose(points, ttk["critical_xyz"], rtol=0, atol=LAST_BIT)
    assert points.dtype == ttk["critical_xyz"].dtype


@pytest.mark.parametrize("name", POINT_ARRAYS)
def test_separatrix_point_arrays(case, name):
    ttk, complex_ = case
    expected = ttk[f"separatrix_point_{name}"]
    np.testing.assert_array_equal(complex_.separatrices[name], expected)
    assert complex_.separatrices[name].dtype == expected.dtype


@pytest.mark.parametrize("name", CELL_ARRAYS)
def test_separatrix_cell_arrays(case, name):
    ttk, complex_ = case
    expected = ttk[f"separatrix_cell_{name}"]
    np.testing.assert_array_equal(complex_.separatrices[name], expected)
    assert complex_.separatrices[name].dtype == expected.dtype


def test_separatrix_geometry(case):
    ttk, complex_ = case
    expected = ttk.get("separatrix_xyz", np.empty((0, 3), dtype=np.float32))
    points, lines = complex_.separatrices["points"], complex_.separatrices["lines"]
    np.testing.assert_allclose(points, expected, rtol=0, atol=LAST_BIT)
    np.testing.assert_array_equal(lines, ttk["separatrix_lines"].reshape(-1, 2))
    assert (points.dtype, lines.dtype) == (np.float32, np.int32)


@pytest.mark.parametrize("name", ["AscendingManifold", "DescendingManifold", "MorseSmaleManifold"])
def test_segmentation(case, name):
    ttk, complex_ = case
    np.testing.assert_array_equal(complex_.segmentation[name], ttk[f"segmentation_{name}"])
    assert complex_.segmentation[name].dtype == ttk[f"segmentation_{name}"].dtype


def test_persistence_pairs(case):
    ttk, complex_ = case
    is_pair = ttk["pair_cell_PairIdentifier"] >= 0
    vertices = ttk["pair_point_ttkVertexScalarField"][ttk["pair_cells"][is_pair]]
    columns = {"birth_vertex": vertices[:, 0], "death_vertex": vertices[:, 1]}
    for name in ("PairType", "Persistence", "Birth", "IsFinite"):
        columns[name] = ttk[f"pair_cell_{name}"][is_pair]
        assert complex_.persistence_pairs[name].dtype == columns[name].dtype
    mine = sorted(zip(*(complex_.persistence_pairs[name].tolist() for name in columns)))
    assert mine == sorted(zip(*(column.tolist() for column in columns.values())))


def test_separate_functions_agree_with_the_complex(case):
    ttk, complex_ = case
    threshold = float(ttk["persistence"])
    if threshold:
        simplified = topology.simplify(ttk["values"], threshold)
        np.testing.assert_array_equal(simplified.values, complex_.values)
    else:
        pairs = topology.persistence_pairs(ttk["values"])
        for name, column in complex_.persistence_pairs.items():
            np.testing.assert_array_equal(pairs[name], column)
