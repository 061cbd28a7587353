"""Which tests are a module's own."""

from pathlib import Path

# those that make numbers or refusals
FOLDERS = (
    "planes",
    "landscape",
    "analysis",
    "adaptive",
    "topology",
    "problem",
    "training",
    "files",
    "formats",
    "formats/imports",
    "study",
    "point",
    "run",
)
# Beside tests/<folder>/test_<module>.py: tests under another name.
_OTHERS = {
    "planes/parameters": ["planes/test_subspace"],
    "planes/grid": ["planes/test_subspace"],
    "landscape/confidence_interval": ["landscape/test_confidence"],
    "landscape/face": ["landscape/test_sampling_errors", "formats/test_formats"],
    "landscape/identity": ["problem/test_code_hash"],
    "landscape/interpolation_errors": ["landscape/test_landscape"],
    "landscape/overlays": ["formats/test_formats"],
    "landscape/scale": ["landscape/test_landscape"],
    "analysis/comparison": ["analysis/test_compare"],
    "analysis/diagrams": ["analysis/test_compare"],
    "analysis/extreme_eigenpairs": ["analysis/test_curvature"],
    "analysis/hessian_matrix": ["analysis/test_curvature"],
    "analysis/lanczos": ["analysis/test_curvature"],
    "analysis/spectral_density": ["analysis/test_curvature"],
    "analysis/trace_estimate": ["analysis/test_curvature"],
    "formats/curvature_data": ["cli/test_curvature"],
    "point/gauss_newton": ["point/test_curvature_products"],
    "analysis/roughness": ["analysis/test_compare"],
    "analysis/sharpness": ["analysis/test_flatness"],
    "analysis/verification": ["analysis/test_verify"],
    "adaptive/refinement": ["adaptive/test_adaptive"],
    "topology/discrete_gradient": ["topology/test_morse_smale_complex"],
    "topology/grid_triangulation": ["topology/test_morse_smale_complex"],
    "topology/segment_order": ["topology/test_simplification"],
    "topology/segmentation": ["topology/test_morse_smale_complex"],
    "topology/separatrices": ["topology/test_morse_smale_complex", "topology/test_ttk_reference"],
    "problem/batch_norm": ["problem/test_modes", "problem/test_own_statistics"],
    "problem/batches": ["problem/test_samples", "problem/test_objective"],
    "problem/determinism": ["problem/test_check_data"],
    "problem/losses": ["problem/test_objective"],
    "problem/precision": ["point/test_precision"],
    "run/precision_fields": ["run/test_auto_precision"],
    "problem/samples": ["problem/test_streamed_samples"],
    "training/torch_files": ["training/test_weights"],
    "training/weights": ["training/test_trajectory"],
    "files/atomic_files": ["run/test_kill"],
    "files/guarded_reading": ["fuzz/test_reading"],
    "files/journal": ["run/test_evaluate"],
    "formats/collection": ["formats/test_formats"],
    "formats/content_stream": ["fuzz/test_reading"],
    "formats/csv_table": ["formats/test_formats"],
    "formats/file_seal": ["fuzz/test_reading"],
    "formats/flat_region_data": ["analysis/test_flatness"],
    "formats/guarded_child": ["fuzz/test_importing"],
    "formats/guarded_netcdf": ["fuzz/test_reading"],
    "formats/image_data": ["formats/test_formats"],
    "formats/limited_process": ["fuzz/test_importing"],
    "formats/netcdf": ["fuzz/test_reading"],
    "formats/netcdf_content": ["fuzz/test_reading"],
    "formats/ply": ["formats/test_topology_data", "formats/test_formats"],
    "formats/poly_data": ["formats/test_formats"],
    "formats/topology_data": ["formats/test_topology_files"],
    "formats/vtk_xml": ["formats/test_formats"],
    "formats/xarray_dataset": ["formats/test_xarray"],
    "formats/imports/content": ["formats/imports/test_li"],
    "formats/imports/csv_table": ["formats/imports/test_arrays"],
    "formats/imports/li_h5": ["formats/imports/test_li"],
    "formats/imports/li_vtp": ["formats/imports/test_li"],
    "formats/imports/npy": ["formats/imports/test_arrays"],
    "formats/imports/npz": ["formats/imports/test_arrays"],
    "formats/imports/readers": ["formats/imports/test_arrays", "fuzz/test_importing"],
    "formats/imports/source": ["formats/imports/test_arrays"],
    "formats/imports/vti": ["formats/imports/test_arrays"],
    "point/carried_buffers": ["run/test_model_losses"],
    "point/differenced_gradients": ["point/test_checked_derivatives"],
    "point/differenced_losses": ["point/test_checked_derivatives"],
    "point/moving": ["point/test_evaluator"],
    "point/plane_derivatives": ["analysis/test_verify"],
    "run/finishing": ["run/test_evaluate"],
    "run/measuring": ["run/test_evaluate"],
    "run/projected_trajectory": ["training/test_trajectory"],
}
# of the parts of one whole, those of the whole
_WHOLE = {
    "run": ["run/test_evaluate"],
    "point": ["problem/test_objective", "point/test_precision"],
}


def tests_of(name: str, tree: Path) -> list[str]:
    """The test files of `planes/grid`, relative to the tree."""
    folder, _, module = name.rpartition("/")
    own = f"tests/{folder}/test_{module}.py"
    others = [f"tests/{other}.py" for other in _OTHERS.get(name, ())]
    if not others and not (tree / own).is_file():
        others = [f"tests/{whole}.py" for whole in _WHOLE.get(folder, ())]
    tests = [test for test in (own, *others) if (tree / test).is_file()]
    missing = sorted(set(others) - set(tests))
    if missing or not tests:
        raise SystemExit(f"{name}: no {missing[0] if missing else own}; see {Path(__file__).name}")
    return tests
