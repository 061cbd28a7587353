"""The inventory problem as an environment of Gymnasium, for agents of any library."""

from __future__ import annotations

from typing import Any

import numpy as np

try:
    import gymnasium
except ImportError as error:
    raise ImportError(
        "losslandscape.study.inventory_environment needs Gymnasium: pip install "
        "'losslandscape[study]'"
    ) from error

from losslandscape.study.inventory import Inventory


class InventoryEnvironment(gymnasium.Env):
    """One episode of :class:`losslandscape.study.inventory.Inventory` at a time.

    The observation is the stock of each store, and an action in [-1, 1] per store is an order from
    0 to ``problem.largest_order``. The reward is the negative cost of the period. An episode is
    truncated after ``problem.periods`` periods, and never ends before.

    Examples
    --------
    >>> environment = InventoryEnvironment(Inventory(periods=2))
    >>> stock, _ = environment.reset(seed=0)
    >>> stock
    array([0.], dtype=float32)
    >>> _, reward, terminated, truncated, _ = environment.step(np.array([0.8], np.float32))
    >>> bool(reward < 0), terminated, truncated
    (True, False, False)
    """

    def __init__(self, problem: Inventory | None = None) -> None:
        self.problem = problem or Inventory()
        shape = (self.problem.stores,)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, shape, np.float32)
        self._stock = np.zeros((1, self.problem.stores))
        self._period = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._stock = np.zeros((1, self.problem.stores))
        self._period = 0
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        demand = self.problem.demand(self.np_random.random((1, self.problem.stores)))
        orders = np.asarray(action, dtype=float).reshape(1, -1)
        self._stock, cost = self.problem.step(self._stock, orders, demand)
        self._period += 1
        return self._observation(), -float(cost[0]), False, self._period >= self.problem.periods, {}

    def _observation(self) -> np.ndarray:
        return self._stock[0].astype(np.float32)
