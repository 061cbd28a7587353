import json

import numpy as np
import pytest
import torch

from losslandscape import Grid, Landscape, Objective, Subspace, evaluate
from losslandscape.errors import LossLandscapeError
from losslandscape.point.evaluator import Evaluator
from losslandscape.problem.precision import arithmetic


def settings():
    backends = torch.backends
    found = [torch.get_float32_matmul_precision(), backends.cudnn.benchmark]
    if hasattr(backends.cudnn, "conv"):
        found += [
            backends.cuda.matmul.fp32_precision,
            backends.cudnn.conv.fp32_precision,
            backends.mkldnn.matmul.fp32_precision,
        ]
    return found


@pytest.mark.parametrize("outside", ["highest", "high", "medium"])
def test_float32_is_float32_whatever_was_set_outside_and_that_is_restored(outside):
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(outside)
        saved = settings()
        with arithmetic():
            if hasattr(torch.backends.cudnn, "conv"):
                assert torch.backends.cuda.matmul.fp32_precision == "ieee"
                assert torch.backends.cudnn.conv.fp32_precision == "ieee"
                assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"
            else:
                assert not torch.backends.cudnn.allow_tf32
        assert settings() == saved
        with pytest.raises(ValueError, match="inside"), arithmetic():
            raise ValueError("inside")
        assert settings() == saved
    finally:
        torch.set_float32_matmul_precision(before)


def test_an_autocast_outside_changes_nothing(cnn, images):
    objective, plane = Objective(cnn, "cross_entropy", images), Subspace.random(cnn)
    expected = evaluate(objective, plane, Grid.square(2), quiet=True).values()
    with torch.autocast("cpu", torch.bfloat16):
        found = evaluate(objective, plane, Grid.square(2), quiet=True).values()
    np.testing.assert_array_equal(found, expected)


def test_plain_arithmetic_has_no_deviation(cnn, images):
    for precision in (None, "float32", "float64"):
        objective = Objective(cnn, "cross_entropy", images, precision=precision)
        with Evaluator(objective, Subspace.random(cnn)) as evaluator:
            assert evaluator.deviation is None


def test_the_deviation_of_bfloat16_is_that_from_float32(cnn, images):
    plane = Subspace.random(cnn)
    exact = Objective(cnn, "cross_entropy", images, batch_size=40)
    reduced = Objective(cnn, "cross_entropy", images, batch_size=40, precision="bfloat16")
    with Evaluator(reduced, plane) as evaluator:
        assert cnn.head.weight.dtype == torch.float32
        deviation = evaluator.deviation
        losses = [evaluator.measure(p)["train"]["loss"].mean() for p in deviation["points"]]
    with Evaluator(exact, plane) as evaluator:
        references = [evaluator.measure(p)["train"]["loss"].mean() for p in deviation["points"]]
    assert deviation["points"] == [[0.0, 0.0], [-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]]
    np.testing.assert_allclose(deviation["loss"], losses, rtol=1e-6)
    np.testing.assert_allclose(deviation["reference_loss"], references, rtol=1e-6)
    differences = np.abs(np.subtract(losses, references))
    assert deviation["largest_absolute"] == pytest.approx(differences.max(), rel=1e-3)
    assert deviation["largest_relative"] == pytest.approx(
        (differences / references).max(), rel=1e-3
    )
    assert 1e-5 < deviation["largest_relative"] < 0.1
    assert deviation["reference"] == "float32"
    json.dumps(deviation, allow_nan=False)


def test_steps_smaller_than_bfloat16_are_not_lost(cnn, images):
    """Parameters stay in float32: a step of 1e-4 of a filter is below bfloat16's resolution."""
    objective = Objective(cnn, "cross_entropy", images, precision="bfloat16")
    with Evaluator(objective, Subspace.random(cnn)) as evaluator:
        evaluator.move((0.0, 0.0))
        origin = cnn.head.weight.detach().clone()
        evaluator.move((1e-4, 0.0))
        assert (cnn.head.weight != origin).float().mean() > 0.9


def test_a_surface_that_is_not_finite_has_a_finite_deviation(cnn, images):
    plane = Subspace(
        {n: p.detach() for n, p in cnn.named_parameters()},
        [{n: torch.full_like(p, 1e30) for n, p in cnn.named_parameters()}],
    )
    objective = Objective(cnn, "cross_entropy", images, precision="bfloat16")
    with Evaluator(objective, plane) as evaluator:
        deviation = evaluator.deviation
    assert not np.isfinite(deviation["loss"]).all()
    assert np.isfinite(deviation["largest_relative"])


def test_a_compiled_model_gives_nearly_the_same(cnn, images, monkeypatch):
    compiled = []

    def quickly(model, **options):  # without the C++ compiler, which takes a minute
        compiled.append(model)
        return torch_compile(model, backend="aot_eager", **options)

    torch_compile = torch.compile
    monkeypatch.setattr(torch, "compile", quickly)
    objective = Objective(cnn, "cross_entropy", images, batch_size=40, compile=True)
    with Evaluator(objective, Subspace.random(cnn)) as evaluator:
        deviation = evaluator.deviation
    assert compiled == [cnn]
    assert deviation["largest_relative"] < 1e-4
    assert np.ptp(deviation["loss"]) > 0  # the compiled model sees parameters move


def test_options_are_part_of_the_problems_identity(cnn, images):
    def identity(**options):
        return Objective(cnn, "cross_entropy", images, **options).to_json()

    assert identity() == identity(precision="float32")
    assert identity(precision="bfloat16")["precision"] == "bfloat16"
    assert identity(compile=True) != identity()


def test_precisions_that_cannot_be(cnn, images):
    with pytest.raises(LossLandscapeError, match="float32, float64, bfloat16, float16, tf32"):
        Objective(cnn, "cross_entropy", images, precision="half")
    with pytest.raises(LossLandscapeError, match="'tf32' needs an NVIDIA GPU"):
        Objective(cnn, "cross_entropy", images, precision="tf32")


def test_the_deviation_is_kept_with_the_landscape(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    data = (torch.randn(20, 4), torch.arange(20) % 3)
    plane = Subspace.random(model)
    fast = Objective(model, "cross_entropy", data, precision="bfloat16")
    evaluate(fast, plane, Grid.square(3), path=tmp_path / "x.nc", quiet=True)
    kept = Landscape.open(tmp_path / "x.nc").provenance["objective"]
    assert kept["precision"] == "bfloat16"
    assert 0 < kept["deviation"]["largest_relative"] < 0.1
    exact = evaluate(Objective(model, "cross_entropy", data), plane, Grid.square(3), quiet=True)
    assert "deviation" not in exact.provenance["objective"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_of_16_bits_is_compared_with_itself_in_float32(dtype):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3))
    model, inputs = model.to(dtype), torch.randn(50, 16).to(dtype)
    before = {name: p.clone() for name, p in model.named_parameters()}
    data = inputs, torch.arange(50) % 3
    plane = Subspace.random(model, 1)
    grid = Grid.line(5, 0.1)
    objective = Objective(model, "cross_entropy", data, batch_size=50)
    with pytest.warns(UserWarning, match=r"in steps: .*staircase. precision='float32'"):
        found = evaluate(objective, plane, grid, quiet=True)
    deviation = found.provenance["objective"]["deviation"]
    assert deviation["points"] == [[0.0], [-0.05], [0.05]]
    assert deviation["reference"] == "float32"
    expected = []
    for point in deviation["points"]:  # by the formula, in float64
        parameters = {
            segment.name: (
                segment.view(plane.origin).double()
                + point[0] * segment.view(plane.directions[0]).double()
            )
            for segment in plane.layout.segments
        }
        wide = torch.nn.Sequential(*model).double()
        outputs = torch.func.functional_call(wide, parameters, (inputs.double(),))
        expected.append(torch.nn.functional.cross_entropy(outputs, data[1]).item())
        model.to(dtype)
    np.testing.assert_allclose(deviation["reference_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(deviation["loss"][0], found.values()[2])
    assert deviation["largest_absolute"] > 0
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@pytest.mark.filterwarnings("error:.*staircase")
def test_a_model_of_16_bits_in_float32_is_plain():
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3).bfloat16()
    data = torch.randn(20, 4), torch.arange(20) % 3
    objective = Objective(model, "cross_entropy", data, precision="float32")
    found = evaluate(objective, Subspace.random(model), Grid.square(2), quiet=True)
    assert "deviation" not in found.provenance["objective"]


def test_a_model_that_cannot_be_of_32_bits():
    class Half(torch.nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs.bfloat16())

    model = Half(4, 3).bfloat16()
    data = torch.randn(20, 4), torch.arange(20) % 3
    objective = Objective(model, "cross_entropy", data)
    with pytest.warns(UserWarning, match=r"staircase.*if the model could: tensors of .*inside"):
        evaluate(objective, Subspace.random(model), Grid.square(2), quiet=True)
