import subprocess
import sys

import pytest

import losslandscape


def test_importing_costs_neither_torch_nor_vtk():
    program = (
        "import sys, losslandscape\n"
        "names = 'torch', 'vtk', 'vtkmodules', 'matplotlib', 'xarray', 'numpy'\n"
        "print([name for name in names if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


def test_a_small_network_on_digits_costs_neither_torchvision_nor_the_compiler():
    program = (
        "import sys\n"
        "from losslandscape import Objective, Subspace\n"
        "from losslandscape.point.evaluator import Evaluator\n"
        "from losslandscape.study.datasets import load_samples\n"
        "from losslandscape.study.networks import build_network\n"
        "model = build_network('small_resnet').eval()\n"
        "images, labels = load_samples('digits')\n"
        "objective = Objective(model, 'cross_entropy', (images[:8], labels[:8]))\n"
        "with Evaluator(objective, Subspace.random(model)) as evaluator:\n"
        "    evaluator.measure((0.1, 0.2))\n"
        "print([name for name in ('torchvision', 'torch._dynamo') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize("name", losslandscape.__all__)
def test_public_names_are_there_and_say_what_they_are(name):
    assert getattr(losslandscape, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'surface'"):
        losslandscape.surface  # noqa: B018
