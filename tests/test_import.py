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


@pytest.mark.parametrize("name", losslandscape.__all__)
def test_public_names_are_there_and_say_what_they_are(name):
    assert getattr(losslandscape, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'surface'"):
        losslandscape.surface  # noqa: B018
