"""With agents of Stable-Baselines3 of a few parameters, on the inventory problem."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import losslandscape as ll

library = pytest.importorskip("stable_baselines3", reason="pip install stable-baselines3")

from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402

from losslandscape.integrations.stable_baselines3 import (  # noqa: E402
    TrajectoryCallback,
    actor_objective,
    critic_objective,
)
from losslandscape.problem.random_draws import fixed_draws  # noqa: E402
from losslandscape.study.inventory import Inventory  # noqa: E402
from losslandscape.study.inventory_environment import InventoryEnvironment  # noqa: E402

ALGORITHMS = ("TD3", "DDPG", "SAC")


def build(algorithm="TD3", **settings):
    return getattr(library, algorithm)(
        "MlpPolicy",
        InventoryEnvironment(Inventory(periods=5)),
        policy_kwargs={"net_arch": [4]},
        **{"learning_starts": 20, "batch_size": 16, "seed": 0, "device": "cpu", **settings},
    )


class ByHand(BaseCallback):
    """The actor's first weights whenever the next steps are taken."""

    def __init__(self):
        super().__init__()
        self.weights_at = {}

    def _on_rollout_start(self):
        self.weights_at[self.model.num_timesteps] = first_weights(self.model)

    def _on_step(self):
        return True


def first_weights(agent):
    return next(agent.policy.actor.parameters()).detach().clone()


@pytest.fixture(scope="module", params=ALGORITHMS)
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "trajectory"
    agent, by_hand = build(request.param), ByHand()
    agent.learn(60, callback=[TrajectoryCallback(folder, every_n_steps=10), by_hand])
    return agent, by_hand, folder


def test_each_checkpoint_is_the_policy_of_its_step(trained):
    agent, by_hand, folder = trained
    trajectory = ll.Trajectory.open(folder)
    assert trajectory.steps.tolist() == [0, 10, 20, 30, 40, 50, 60]
    name = "actor." + next(name for name, _ in agent.policy.actor.named_parameters())
    for i, step in enumerate(trajectory.steps[:-1]):
        assert torch.equal(trajectory.parameters(i)[name], by_hand.weights_at[int(step)]), step
    assert torch.equal(trajectory.parameters(-1)[name], first_weights(agent))
    assert not torch.equal(trajectory.parameters(-1)[name], trajectory.parameters(3)[name])
    assert np.isfinite(trajectory.numbers("episode_return")[1:]).all()
    assert np.isfinite(trajectory.numbers("train_critic_loss")[4])


def test_training_that_goes_on_continues_the_trajectory(tmp_path):
    agent = build()
    agent.learn(30, callback=TrajectoryCallback(tmp_path / "run", every_n_steps=15))
    more = TrajectoryCallback(tmp_path / "run", every_n_steps=15)
    agent.learn(30, callback=more, reset_num_timesteps=False)
    assert ll.Trajectory.open(tmp_path / "run").steps.tolist() == [0, 15, 30, 45, 60]
    with pytest.raises(ll.LossLandscapeError, match="already contains a trajectory"):
        agent.learn(5, callback=TrajectoryCallback(tmp_path / "run"))
    agent.learn(5, callback=TrajectoryCallback(tmp_path / "run", overwrite=True))
    assert ll.Trajectory.open(tmp_path / "run").steps.tolist() == [0, 5]


def test_a_policy_that_learns_every_few_steps_is_recorded_when_its_weights_change(tmp_path):
    agent = build(train_freq=7)
    agent.learn(28, callback=TrajectoryCallback(tmp_path / "run", every_n_steps=10))
    assert ll.Trajectory.open(tmp_path / "run").steps.tolist() == [0, 14, 21, 28]


def mean_of(objective):
    line = ll.Subspace.random(objective.model, dimensions=1, parameters="actor.*")
    return ll.evaluate(objective, line, ll.Grid.rectangle((3,), ((-1, 1),))).values("loss")[1]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_losses_are_those_that_the_library_trains_with(algorithm, monkeypatch):
    """At a learning rate of 0, and without the noise that each draws in its own order."""
    settings = {"SAC": {"ent_coef": 0.3}, "TD3": {"target_policy_noise": 0.0}}.get(algorithm, {})
    agent = build(algorithm, learning_rate=0.0, **settings)
    agent.learn(40)
    with monkeypatch.context() as patch:
        if algorithm == "SAC":  # the action is then the mean, in both
            patch.setattr(
                "torch.distributions.normal._standard_normal",
                lambda shape, dtype, device: torch.zeros(shape, dtype=dtype, device=device),
            )
            patch.setattr(torch, "randn", lambda shape, generator: torch.zeros(shape))
        actor, critic = actor_objective(agent, samples=50), critic_objective(agent, samples=50)
        with fixed_draws(0):
            batch = agent.replay_buffer.sample(50)
        patch.setattr(agent.replay_buffer, "sample", lambda *_, **__: batch)
        agent.policy_delay = 1
        agent.train(gradient_steps=1, batch_size=50)
    logged = agent.logger.name_to_value
    assert mean_of(actor) == pytest.approx(logged["train/actor_loss"], rel=1e-5)
    assert mean_of(critic) == pytest.approx(logged["train/critic_loss"], rel=1e-5)


def test_the_entropy_term_is_the_density_of_the_squashed_action():
    agent = build("SAC")
    agent.learn(30)
    objective = actor_objective(agent, samples=200, seed=5)
    states, draws = next(iter(objective.sets.values())).first(200)
    with torch.no_grad():
        mean, log_std, _ = agent.actor.get_action_dist_params(states)
        raw = mean + log_std.exp() * draws
        squashed = torch.distributions.TransformedDistribution(
            torch.distributions.Normal(mean, log_std.exp()),
            torch.distributions.TanhTransform(cache_size=1),
        )
        action = torch.tanh(raw)
        values = torch.minimum(*agent.critic(states, action))[:, 0]
        entropy = agent.log_ent_coef.exp()
        expected = (entropy * squashed.log_prob(action)[:, 0] - values).mean()
    assert mean_of(objective) == pytest.approx(float(expected), abs=5e-3)  # the library adds 1e-6


def test_only_the_named_part_moves_and_another_critic_is_another_recipe(trained, tmp_path):
    agent, _, folder = trained
    trajectory = ll.Trajectory.open(folder)
    plane = ll.Subspace.pca(trajectory, parameters="actor")
    grid = ll.Grid.square(3)
    objective = actor_objective(agent, samples=30)
    landscape = ll.evaluate(objective, plane, grid, path=tmp_path / "actor.nc")
    moved = plane.parameters_at((1.0, -1.0))
    for name, value in agent.policy.named_parameters():
        same = torch.equal(moved[name], value)
        assert same or name.startswith("actor."), name
    if type(agent).__name__ != "SAC":
        states = next(iter(objective.sets.values())).first(30)[0]
        actor = {n.removeprefix("actor."): t for n, t in moved.items() if n.startswith("actor.")}
        with torch.no_grad():
            actions = torch.func.functional_call(agent.actor, actor, (states,))
            expected = -agent.critic.q1_forward(states, actions).mean()
        assert landscape.values("loss")[0, 2] == pytest.approx(float(expected), rel=1e-5)
    changed = dict(zip(("origin", "directions"), (plane.parameters_at((0.0, 0.0)), None)))
    changed["origin"]["critic.qf0.0.bias"] = changed["origin"]["critic.qf0.0.bias"] + 1
    zero = {n: torch.zeros_like(t) for n, t in changed["origin"].items()}
    name = next(iter(zero))
    line = [{**zero, name: torch.ones_like(zero[name])}]
    first = ll.Subspace(plane.parameters_at((0.0, 0.0)), line)
    second = ll.Subspace(changed["origin"], line)
    short = ll.Grid.rectangle((3,), ((-1, 1),))
    ll.evaluate(objective, first, short, path=tmp_path / "line.nc")
    with pytest.raises(ll.LossLandscapeError, match=r"line\.nc"):
        ll.evaluate(objective, second, short, path=tmp_path / "line.nc")


def test_what_has_no_known_loss_is_refused():
    environment = InventoryEnvironment()
    other = library.PPO("MlpPolicy", environment, n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(ll.LossLandscapeError, match="PPO: its actor and critic losses"):
        actor_objective(other)
    with pytest.raises(ll.LossLandscapeError, match="replay buffer is empty"):
        critic_objective(build())
    with pytest.raises(ll.LossLandscapeError, match="use_sde=True"):
        actor_objective(build("SAC", use_sde=True))
    with pytest.raises(ll.LossLandscapeError, match="every_n_steps"):
        TrajectoryCallback("run", every_n_steps=0)


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    """All blocks, those with an agent of the library too; the page has an environment in words."""
    page = Path(__file__).parents[2] / "docs" / "actor_critic.md"
    blocks = re.findall(r"^```python.*?\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    names = {"environment": InventoryEnvironment(Inventory(periods=4))}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert names["td3"].num_timesteps == 300
    for name in ("actor", "critic", "cost"):
        assert np.isfinite(names[name].values("loss")).all()
        assert (names[name].standard_error() > 0).all()
    assert abs(names["problem"].base_stock - 1.8) < 1e-12
