"""The inventory problem through the interface of Gymnasium."""

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="pip install gymnasium")

from losslandscape.study.inventory import Inventory  # noqa: E402
from losslandscape.study.inventory_environment import InventoryEnvironment  # noqa: E402


def test_it_passes_the_checks_of_the_library():
    from gymnasium.utils.env_checker import check_env

    check_env(InventoryEnvironment(Inventory(stores=2, supply=3.0)), skip_render_check=True)


@pytest.mark.parametrize("lost_sales", [False, True])
def test_an_episode_costs_what_the_simulation_says(lost_sales):
    problem = Inventory(stores=2, lost_sales=lost_sales, periods=12)
    environment = InventoryEnvironment(problem)
    stock, _ = environment.reset(seed=7)
    demands = problem.demand(np.random.default_rng(7).random((1, 12, 2)))
    total, truncated = 0.0, False
    while not truncated:
        stock, reward, terminated, truncated, _ = environment.step(0.2 - 0.4 * stock)
        total -= reward
        assert not terminated
    expected = problem.simulate(lambda x: 0.2 - 0.4 * x, demands)[0] * 12
    assert total == pytest.approx(expected, rel=1e-5)
