"""Agents of Stable-Baselines3: their trajectory, and the losses of their actor and critic.

A policy of TD3, DDPG or SAC holds the actor and the critics, so the objectives have the whole
policy as their model, and ``parameters="actor"`` or ``"critic"`` says which part moves. The part
that does not move is frozen at the plane's origin, and the file's recipe covers it.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

try:
    from stable_baselines3 import SAC, TD3
    from stable_baselines3.common.callbacks import BaseCallback
except ImportError as error:
    raise ImportError(
        "losslandscape.integrations.stable_baselines3 needs Stable-Baselines3: pip install "
        "'losslandscape[study]'"
    ) from error

from losslandscape.argument_checks import COUNT
from losslandscape.errors import LossLandscapeError
from losslandscape.integrations.recording import Schedule, TrainingRecorder
from losslandscape.problem.objective import Objective
from losslandscape.problem.random_draws import fixed_draws


class TrajectoryCallback(BaseCallback):
    """Records an agent's policy at the start, every n environment steps, and at the end.

    A checkpoint's step is ``agent.num_timesteps``. Weights change only between two rollouts, so a
    checkpoint is recorded at the first such moment at or after each multiple of ``every_n_steps``.
    Its scalars are the agent's log entries since its last dump, ``train/actor_loss`` as
    ``train_actor_loss``, and ``episode_return``, the mean return of the last 100 episodes.

    Training that goes on (``agent.learn(..., reset_num_timesteps=False)``) continues the existing
    trajectory.

    Parameters
    ----------
    path : path
        The trajectory's folder; see :class:`losslandscape.TrajectoryRecorder`.
    every_n_steps : int
        Environment steps between two checkpoints.
    overwrite : bool
        Replace an existing trajectory when training starts from the beginning.

    Raises
    ------
    LossLandscapeError
        If the schedule is invalid. When training starts: if the folder already contains a
        trajectory.

    Examples
    --------
    >>> callback = TrajectoryCallback("run/trajectory", every_n_steps=100)
    >>> # agent = TD3("MlpPolicy", environment); agent.learn(10_000, callback=callback)
    """

    def __init__(
        self, path: str | os.PathLike, *, every_n_steps: int = 1000, overwrite: bool = False
    ) -> None:
        super().__init__()
        Schedule(every_n_steps=every_n_steps)  # refuses what is no interval
        self.path = path
        self.every_n_steps = every_n_steps
        self.overwrite = overwrite
        self._recorder: TrainingRecorder | None = None
        self._next = 0

    def _on_training_start(self) -> None:
        policy: nn.Module = self.model.policy
        self._recorder = TrainingRecorder(policy, self.path, self.num_timesteps, self.overwrite)
        self._record()

    def _on_rollout_start(self) -> None:
        self.num_timesteps = self.model.num_timesteps
        if self.num_timesteps >= self._next:
            self._record()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self.num_timesteps = self.model.num_timesteps
        self._record()
        self._recorder = None

    def _record(self) -> None:
        assert self._recorder is not None
        step = self.num_timesteps
        numbers = {
            name.replace("/", "_"): value
            for name, value in self.model.logger.name_to_value.items()
            if name.startswith("train/")
        }
        if returns := [episode["r"] for episode in self.model.ep_info_buffer or ()]:
            numbers["episode_return"] = sum(returns) / len(returns)
        self._recorder.record(step, numbers)
        self._next = (step // self.every_n_steps + 1) * self.every_n_steps


def actor_objective(agent: Any, *, samples: int = 1000, seed: int = 0) -> Objective:
    """The actor's loss under the frozen critic, on fixed states of the replay buffer.

    For TD3 and DDPG, the loss of a state s is -Q1(s, pi(s)). For SAC it is
    a log pi(u | s) - min Q(s, u), with the entropy coefficient a as it is now, and the action u
    drawn with fixed random numbers, so that every point of a landscape has the same draws.

    Parameters
    ----------
    agent : TD3, DDPG or SAC
        With steps in its replay buffer.
    samples : int
        States, drawn with replacement.
    seed : int

    Returns
    -------
    Objective
        Of ``agent.policy``; move the actor alone, ``parameters="actor"``.

    Raises
    ------
    LossLandscapeError
        If the agent is of another algorithm, explores with gSDE, or has an empty replay buffer.

    Examples
    --------
    >>> # plane = ll.Subspace.pca(trajectory, parameters="actor")
    >>> # ll.evaluate(actor_objective(agent), plane, path="actor.nc")
    """
    states = _transitions(agent, samples, seed).observations
    if isinstance(agent, TD3):

        def deterministic(model: Any, batch: Any) -> Tensor:
            (observed,) = batch
            return -model.critic.q1_forward(observed, model.actor(observed)).squeeze(1)

        return Objective(agent.policy, deterministic, (states,))

    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((samples, *agent.action_space.shape), generator=generator)
    entropy = _entropy_coefficient(agent)

    def stochastic(model: Any, batch: Any) -> Tensor:
        observed, draws = batch
        mean, log_std, _ = model.actor.get_action_dist_params(observed)
        raw = mean + log_std.exp() * draws
        normal = torch.distributions.Normal(mean, log_std.exp())
        action = torch.tanh(raw)
        # the density of tanh(raw), with the constant that the library adds
        log_density = (normal.log_prob(raw) - torch.log(1 - action**2 + 1e-6)).sum(1)
        values = torch.cat(model.critic(observed, action), dim=1).min(dim=1).values
        return entropy * log_density - values

    return Objective(agent.policy, stochastic, (states, noise.to(states.device)))


def critic_objective(agent: Any, *, samples: int = 1000, seed: int = 0) -> Objective:
    """The critics' loss against fixed targets, on fixed transitions of the replay buffer.

    The targets of temporal-difference learning are computed once, by the target networks as they
    are now, with the noise of the algorithm drawn from ``seed``. The loss of a transition is the
    squared error of each critic, summed over the critics (half of it for SAC), as in training.

    Parameters
    ----------
    agent : TD3, DDPG or SAC
        With steps in its replay buffer.
    samples : int
        Transitions, drawn with replacement.
    seed : int

    Returns
    -------
    Objective
        Of ``agent.policy``; move the critics alone, ``parameters="critic"``.

    Raises
    ------
    LossLandscapeError
        As for :func:`actor_objective`.
    """
    data = _transitions(agent, samples, seed)
    factor = 1.0 if isinstance(agent, TD3) else 0.5
    with fixed_draws(seed), torch.no_grad():
        targets = _targets(agent, data)

    def squared_errors(model: Any, batch: Any) -> Tensor:
        observed, actions, wanted = batch
        values = torch.cat(model.critic(observed, actions), dim=1)
        return factor * (values - wanted).square().sum(1)

    return Objective(agent.policy, squared_errors, (data.observations, data.actions, targets))


def _transitions(agent: Any, samples: int, seed: int) -> Any:
    if not isinstance(agent, (TD3, SAC)):
        raise LossLandscapeError(
            f"{type(agent).__name__}: its actor and critic losses are not known here; pass an "
            "agent of TD3, DDPG or SAC, or write the loss as docs/actor_critic.md shows"
        )
    if agent.use_sde:
        raise LossLandscapeError(
            "use_sde=True: the noise of generalized state-dependent exploration is not a draw per "
            "state; train with use_sde=False, or write the loss yourself (docs/actor_critic.md)"
        )
    COUNT.check("samples", samples)
    if agent.replay_buffer is None or agent.replay_buffer.size() == 0:
        raise LossLandscapeError(
            "the agent's replay buffer is empty; train it first, or load the buffer with "
            "agent.load_replay_buffer(...)"
        )
    agent.policy.set_training_mode(False)
    with fixed_draws(seed):
        return agent.replay_buffer.sample(samples, env=agent._vec_normalize_env)


def _entropy_coefficient(agent: Any) -> float:
    learned = agent.log_ent_coef
    return float(agent.ent_coef_tensor if learned is None else learned.detach().exp())


def _targets(agent: Any, data: Any) -> Tensor:
    policy = agent.policy
    if isinstance(agent, TD3):
        noise = torch.randn_like(data.actions) * agent.target_policy_noise
        noise = noise.clamp(-agent.target_noise_clip, agent.target_noise_clip)
        following = (policy.actor_target(data.next_observations) + noise).clamp(-1, 1)
        bonus = torch.zeros_like(data.rewards)
    else:
        following, log_density = policy.actor.action_log_prob(data.next_observations)
        bonus = -_entropy_coefficient(agent) * log_density.reshape(-1, 1)
    values = torch.cat(policy.critic_target(data.next_observations, following), dim=1)
    values = values.min(dim=1, keepdim=True).values + bonus
    discounts = agent.gamma if data.discounts is None else data.discounts
    return data.rewards + (1 - data.dones) * discounts * values
