"""The README's own lines, run with models that the study knows nothing of."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

from losslandscape import Landscape
from losslandscape.cli import main
from losslandscape.errors import LossLandscapeError

README = Path(__file__).parents[2] / "README.md"

TRANSFORMER = """
import torch
from torch import nn

torch.manual_seed(0)
inputs = torch.randint(0, 12, (60, 6))
targets = (inputs == 3).any(1).long()


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(12, 8)
        layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(8, 2)

    def forward(self, tokens):
        return self.head(self.encoder(self.words(tokens)).mean(1))


def build():
    torch.manual_seed(1)
    return Transformer()


loss_function = nn.functional.cross_entropy
"""

REGRESSION = """
import torch
from torch import nn

torch.manual_seed(0)
inputs = torch.linspace(-3, 3, 50)[:, None]
targets = inputs.sin()


def build():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))


loss_function = nn.functional.mse_loss
"""

COMMON = """
model = build()
optimizer = torch.optim.Adam(model.parameters(), 0.01)


def load():
    return inputs, targets


def train_one_epoch():
    optimizer.zero_grad()
    loss_function(model(inputs), targets).backward()
    optimizer.step()
"""


def readme_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.paraview
@pytest.mark.parametrize(
    ("project", "loss"),
    [(TRANSFORMER, "cross_entropy"), pytest.param(REGRESSION, "mse", marks=pytest.mark.slow)],
)
def test_from_the_readmes_lines_to_a_picture(tmp_path, monkeypatch, project, loss):
    from losslandscape.paraview.process import find_pvpython

    try:
        find_pvpython()
    except LossLandscapeError as error:
        pytest.skip(str(error))
    (tmp_path / "my_project.py").write_text(project + COMMON)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("my_project", None)
    (block,) = readme_blocks("python")
    names = {}
    small = block.replace('path="mine.nc"', 'grid=plane.default_grid(9), path="mine.nc"')
    exec(small.replace("cross_entropy", loss), names)
    torch.save(names["model"].state_dict(), "weights.pt")  # the README says so in prose
    assert Landscape.open("mine.nc").values("loss").shape == (9, 9)
    assert len(Landscape.open("mine.nc").trajectories[0].step) == 11
    commands = readme_blocks("sh")[1].replace("\\\n", " ").strip().splitlines()
    for command in commands:
        words = shlex.split(command.replace("cross_entropy", loss).replace("--grid 51", "--grid 9"))
        assert main([*words[1:], "--overwrite"]) == 0
    for picture in ("random.png", "mine.png"):
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    sys.modules.pop("my_project", None)


def test_every_file_the_readme_names_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text())
    assert links
    missing = [link for link in links if not (README.parent / link).exists()]
    assert not missing
