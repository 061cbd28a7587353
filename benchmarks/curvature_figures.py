"""Data of figures 6 and 7: the curvature of a small network, and how far to trust its plane.

``python -m benchmarks.curvature_figures`` writes state_files/data/small_random/, in two minutes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import torch
from torch import nn

import losslandscape as ll
from losslandscape.formats.report import loss_sha256, write_json
from losslandscape.study.datasets import load_samples

FOLDER = Path(__file__).parent.parent / "state_files" / "data" / "small_random"
_SAMPLES, _STEPS, _EVERY = 200, 300, 15


def trained(folder: Path) -> tuple[ll.Objective, ll.Trajectory]:
    """A network of 226 parameters after full-batch Adam on digits of 4 x 4 pixels, in float64."""
    torch.manual_seed(0)
    images, labels = load_samples("digits8")
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:_SAMPLES]
    images, labels = images[chosen], labels[chosen]
    model = nn.Sequential(
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    with ll.TrajectoryRecorder(model, folder) as recorder:
        for step in range(_STEPS + 1):
            if step % _EVERY == 0:
                recorder.record(step)
            if step < _STEPS:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images), labels).backward()
                optimizer.step()
    objective = ll.Objective(model.eval(), "cross_entropy", (images, labels))
    return objective, ll.Trajectory.open(folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        objective, trajectory = trained(folder / "training" / "trajectory")
        plane = ll.Subspace.random(objective.model, seed=0)
        landscape = ll.evaluate(
            objective, plane, ll.Grid.square(13, 0.4), title="a small network on digits",
            keep_samples=False, quiet=True,
        )  # fmt: skip
        curved = ll.curvature(objective, 5, subspace=plane, precision="float64")
        verdict = ll.trust(landscape, objective, plane, trajectory, curvature=curved, spread=True)
        landscape.provenance["trust"] = verdict.to_json(profiles=False)
        found = ll.convexity(landscape, objective, plane, precision="float64")
        FOLDER.mkdir(parents=True, exist_ok=True)
        found.save(folder / "landscape.nc")
        shutil.copy(folder / "landscape.nc", FOLDER / "landscape.nc")
        found.export(FOLDER, formats=["vti"])
    write_json(FOLDER / "curvature.json", curved.to_json())
    write_json(FOLDER / "trust.json", {"loss_sha256": loss_sha256(found), **verdict.to_json()})
    print(json.dumps([*verdict.verdict, *curved.summary()], indent=1))


if __name__ == "__main__":
    main()
