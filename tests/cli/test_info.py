"""What `losslandscape info` says of a file."""

import numpy as np

from losslandscape.cli import main
from losslandscape.landscape.landscape import EVALUATED, INTERPOLATED, Landscape
from losslandscape.planes.grid import Grid


def test_a_range_that_interpolation_made_is_told_from_what_was_measured(tmp_path, capsys):
    accuracy = np.array([[0.5, 1.25, 1.0], [0.75, 0.625, 0.875]])
    status = np.full((2, 3), EVALUATED, np.int8)
    status[0, 1] = INTERPOLATED
    fields = {"loss": np.arange(6.0).reshape(2, 3), "accuracy": accuracy}
    landscape = Landscape(Grid((3, 2), ((0, 1), (0, 1))), fields, status, np.eye(2))
    landscape.save(tmp_path / "x.nc")
    assert main(["info", str(tmp_path / "x.nc")]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.split()}
    assert lines["accuracy"].endswith("0.5 to 1 evaluated, 0.5 to 1.25 with interpolated")
    assert lines["loss"].endswith(" 0 to 5")
