"""Full-batch gradient descent at the edge of stability: the largest eigenvalue beside 2 / eta.

    OMP_NUM_THREADS=1 python -m benchmarks.edge_of_stability

A small network is trained with two learning rates (Cohen et al. 2021). A minute of one core; the
figure is docs/images/edge_of_stability.png, the table a result.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import results
from losslandscape import Objective, Trajectory, TrajectoryRecorder, training_sharpness

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "edge_of_stability.png"
STEPS, EVERY = 2000, 50
RATES = (0.3, 0.4)


def problem() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    inputs = torch.linspace(-1, 1, 24).double()[:, None]
    model = nn.Sequential(
        nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 1)
    ).double()
    return model, inputs, torch.sin(6 * inputs)


def trained(folder: Path, rate: float) -> tuple[Objective, Trajectory]:
    model, inputs, targets = problem()
    with TrajectoryRecorder(model, folder) as recorder:
        for step in range(STEPS + 1):
            if step % EVERY == 0:
                recorder.record(step)
            loss = ((model(inputs) - targets) ** 2).mean()
            model.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= rate * parameter.grad
    return Objective(model, "mse", (inputs, targets)), Trajectory.open(folder)


def main() -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(RATES), figsize=(9, 3.4), layout="constrained")
    rows = []
    for rate, ax in zip(RATES, axes):
        with tempfile.TemporaryDirectory() as folder:
            objective, trajectory = trained(Path(folder) / "trajectory", rate)
            found = training_sharpness(objective, trajectory, rate)
        relative = found.sharpness / found.stability_limit
        reached = found.step[np.argmax(relative >= 1)] if (relative >= 1).any() else np.nan
        late = found.step >= STEPS / 2
        rows.append(
            [
                f"{rate:g}",
                f"{2 / rate:.2f}",
                f"{relative[0]:.2f}",
                f"{reached:g}",
                f"{np.median(relative[late]):.3f}",
                f"{np.quantile(relative[late], 0.05):.3f}",
                f"{np.quantile(relative[late], 0.95):.3f}",
            ]
        )
        ax.plot(found.step, found.sharpness, label="largest eigenvalue of the Hessian")
        ax.axhline(2 / rate, color="black", linestyle="dashed", label="2 / learning rate")
        ax.set(xlabel="training step", ylabel="sharpness")
        ax.legend(fontsize="small", frameon=False, loc="lower right")
        ax.set_ylim(bottom=0)
        ax.set_title(f"learning rate {rate:g}", fontsize="medium")
    figure.savefig(PICTURE, dpi=110)
    results.write(
        "edge_of_stability",
        "Full-batch gradient descent: sharpness relative to 2 / eta",
        ["learning rate", "2 / eta", "at the start", "reaches 2 / eta at step", "median",
         "5%", "95%"],
        rows,
        [f"{STEPS} steps of an MLP of {sum(p.numel() for p in problem()[0].parameters())} "
         "parameters in float64, mean squared error of 24 samples; 5%, 95% and medians are of the "
         "second half of the run"],
        device=None,
    )  # fmt: skip
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
