"""The landscapes of an agent, and what is read from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

import losslandscape as ll
from benchmarks.actor_critic.agents import PROBLEM, act
from benchmarks.studies import evaluated
from losslandscape.analysis.roughness import roughness

EPISODES = 500
SAMPLES = 1000  # states and transitions
POINTS = 21  # along each axis; odd, so that the trained agent is one of them
_DEMANDS = 1  # seed of the demands of the landscapes
_TEST = 2  # and of those that judge a policy


def cost_objective(agent: Any, episodes: int, seed: int) -> ll.Objective:
    """The cost per period of simulated episodes, of the policy without noise."""

    def cost_per_period(model: torch.nn.Module, batch: Any) -> torch.Tensor:
        (demands,) = batch
        return PROBLEM.simulate(lambda stock: act(model, stock), demands)

    demands = torch.as_tensor(PROBLEM.demands(episodes, seed), dtype=torch.float32)
    return ll.Objective(
        agent.policy, cost_per_period, (demands,), batch_size=min(episodes, 1000), execution="plain"
    )


def measured(agent: Any, folder: Path) -> dict[str, ll.Landscape]:
    """The landscapes by name, evaluated where they are missing.

    ``actor``, ``cost`` and ``critic`` are on planes of principal components of the training
    trajectory; ``actor_random`` and ``cost_random`` on one filter-normalized random plane of the
    actor, on which algorithms can be compared.
    """
    from losslandscape.integrations.stable_baselines3 import actor_objective, critic_objective

    trajectory = ll.Trajectory.open(folder / "trajectory")
    of_actor = ll.Subspace.pca(trajectory, parameters="actor")
    of_critic = ll.Subspace.pca(trajectory, parameters="critic")
    random = ll.Subspace.random(agent.policy, parameters="actor", seed=0)
    objectives = {
        "actor": actor_objective(agent, samples=SAMPLES),
        "critic": critic_objective(agent, samples=SAMPLES),
        "cost": cost_objective(agent, EPISODES, _DEMANDS),
    }
    found = {}
    for name, kind, plane in (
        ("actor", "actor", of_actor),
        ("cost", "cost", of_actor),
        ("critic", "critic", of_critic),
        ("actor_random", "actor", random),
        ("cost_random", "cost", random),
    ):
        on_path = plane is not random
        found[name] = evaluated(
            folder / f"{name}.nc",
            objectives[kind],
            plane,
            plane.default_grid(POINTS) if on_path else ll.Grid.square(POINTS),
            trajectory=trajectory if on_path else None,
        )
    return found


def judged(agent: Any, landscapes: dict[str, ll.Landscape]) -> dict[str, float]:
    """The numbers of one agent, by name."""
    demands = PROBLEM.demands(20_000, _TEST)
    levels = PROBLEM.learned_levels(lambda stock: act(agent.policy, stock), demands[:2000])
    costs = PROBLEM.simulate(lambda stock: act(agent.policy, stock), demands)
    best = PROBLEM.simulate(PROBLEM.order_up_to(PROBLEM.base_stock), demands)
    extra = costs - best  # of the same demands
    cost, actor = (landscapes[name].values("loss") for name in ("cost", "actor"))
    around = landscapes["cost_random"].values("loss")
    return {
        "level": float(levels.mean()),
        "level_spread": float(levels.std()),
        "extra_cost": float(extra.mean()),
        "extra_cost_error": float(extra.std(ddof=1) / np.sqrt(len(extra))),
        "rise": float(np.median(around) - around[POINTS // 2, POINTS // 2]),
        "roughness_cost": roughness(around),
        "roughness_actor": roughness(landscapes["actor_random"].values("loss")),
        "rank_correlation": float(stats.spearmanr(actor.ravel(), cost.ravel()).statistic),
        "regret": float(cost.flat[actor.argmin()] - cost.min()),
    }
