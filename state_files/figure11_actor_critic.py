"""Figure 11: landscapes of an actor and its critic on inventory control, with the training."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paraview_plugin"))

from losslandscape_paraview import panels
from losslandscape_paraview.figure_script import run


def build(data):
    """TD3: actor loss, critic loss, cost of the policy, and the standard error of the cost."""
    actor, critic, cost = (data / f"td3_{name}" for name in ("actor", "critic", "cost"))
    return panels(
        actor,
        critic,
        cost,
        cost,
        titles=(
            "actor loss, critic frozen",
            "critic loss, targets fixed",
            "cost per period",
            "standard error of the cost",
        ),
        each=[{}, {"log": True}, {"log": True}, {"array": "loss_standard_error", "log": True}],
        steps="environment step",
        own_losses=False,
        direction=(-0.58, -0.50, 1.35),  # the trained policy in front
    )


if __name__ == "__main__":
    run(build, __file__)
