"""The agents of the study: TD3 and SAC of Stable-Baselines3, trained once and kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from losslandscape.errors import LossLandscapeError
from losslandscape.study.inventory import Inventory

ALGORITHMS = ("TD3", "SAC")
STEPS = 5_000  # of the environment
PROBLEM = Inventory(holding=1.0, shortage=9.0)
_EVERY = 125  # steps between two checkpoints
_SETTINGS: dict[str, dict[str, Any]] = {
    "TD3": {"policy_delay": 2},
    "SAC": {"ent_coef": 0.02},
}


def require_libraries() -> None:
    """Raise a LossLandscapeError if Gymnasium or Stable-Baselines3 is not installed."""
    try:
        import gymnasium  # noqa: F401
        import stable_baselines3  # noqa: F401
    except ImportError as error:
        raise LossLandscapeError(
            f"the study of actor and critic needs {error.name}, which is not installed: pip "
            "install 'losslandscape[study]'"
        ) from error


def trained(algorithm: str, seed: int, folder: Path, steps: int = STEPS) -> Any:
    """The agent of a seed; its training trajectory is in ``folder/trajectory``.

    It is trained if it is not there. A training that was killed begins anew, with the same result.
    """
    import stable_baselines3
    from stable_baselines3.common.noise import NormalActionNoise
    from stable_baselines3.common.utils import LinearSchedule

    from losslandscape.integrations.stable_baselines3 import TrajectoryCallback
    from losslandscape.study.inventory_environment import InventoryEnvironment

    kind = getattr(stable_baselines3, algorithm)
    if not (folder / "agent.zip").exists():
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        settings = dict(_SETTINGS[algorithm])
        if algorithm == "TD3":
            settings["action_noise"] = NormalActionNoise(np.zeros(1), np.full(1, 0.2))
        agent = kind(
            "MlpPolicy",
            InventoryEnvironment(PROBLEM),
            gamma=0.5,  # the optimum is the same for every discount
            learning_rate=LinearSchedule(2e-3, 0.0, 1.0),
            learning_starts=500,
            batch_size=256,
            buffer_size=steps,
            train_freq=4,
            gradient_steps=4,
            policy_kwargs={"net_arch": {"pi": [16, 16], "qf": [64, 64]}},
            seed=seed,
            device="cpu",
            **settings,
        )
        agent.learn(
            steps, callback=TrajectoryCallback(unfinished / "trajectory", every_n_steps=_EVERY)
        )
        agent.save_replay_buffer(unfinished / "replay_buffer.pkl")
        agent.save(unfinished / "agent.zip")
        unfinished.rename(folder)
    agent = kind.load(folder / "agent.zip", device="cpu")
    if agent.num_timesteps != steps:
        raise LossLandscapeError(
            f"{folder}: was trained for {agent.num_timesteps} steps, not {steps}; name another "
            "folder with --folder, or remove this one"
        )
    agent.load_replay_buffer(folder / "replay_buffer.pkl")
    agent.policy.set_training_mode(False)
    return agent


def act(model: Any, stock: Any) -> Any:
    """The policy's action without noise, of tensors or of NumPy arrays."""
    if isinstance(stock, np.ndarray):
        with torch.no_grad():
            tensor = torch.as_tensor(stock, dtype=torch.float32)
            return act(model, tensor).double().numpy()
    if hasattr(model.actor, "get_action_dist_params"):
        return model.actor(stock, deterministic=True)
    return model.actor(stock)
