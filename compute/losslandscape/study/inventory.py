"""Inventory control with a known optimum: stores that order from a warehouse each period.

In each period a store sees its stock x and orders q >= 0, which arrives at once: its level is
y = x + q. Demand D follows, independent over stores and periods. The period costs
``holding * max(y - D, 0) + shortage * max(D - y, 0)``, and the next stock is y - D; if sales are
lost, it is max(y - D, 0). There is no cost of ordering, and the first stock is 0.

Under these assumptions the base-stock policy "order up to S*" is optimal for every horizon and
every discount, with the level of the newsvendor, S* = F^-1(shortage / (shortage + holding)), where
F is the distribution of the demand. For S* minimizes the expected cost of each single period, and
it can be reached in every period: the stock is at most S* after a period that began at S*, and no
order that leads back to S* is above the limit of the orders.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from losslandscape.errors import LossLandscapeError

LAWS = ("uniform", "exponential")
Policy = Callable[[Any], Any]  # observations -> actions, each (episodes, stores)


@dataclass(frozen=True)
class Inventory:
    """The problem: costs, demand and limits. Quantities are in units of one store's mean demand.

    Attributes
    ----------
    stores : int
        All stores are alike.
    holding, shortage : float
        Cost of one unit in stock, or short, at the end of a period.
    law : "uniform" or "exponential"
        Distribution of a store's demand in one period: uniform on [0, 2], or exponential; the mean
        is 1.
    lost_sales : bool
        Demand that is not met is lost; otherwise it is backlogged, and the stock is negative.
    periods : int
        Length of an episode.
    supply : float
        What the warehouse can ship in one period. If the stores order more, all orders are reduced
        by the same factor. With less than ``stores * largest_order`` the optimum is not known, and
        :attr:`optimal_cost` is a lower bound of it.

    Raises
    ------
    LossLandscapeError
        If a value is out of its range, or no base-stock level is optimal: backlogged exponential
        demand is not bounded, so that no limit of the orders always lets a store reach S*.

    Examples
    --------
    >>> problem = Inventory(holding=1.0, shortage=9.0)
    >>> problem.base_stock, round(problem.optimal_cost, 6)
    (1.8, 0.9)
    """

    stores: int = 1
    holding: float = 1.0
    shortage: float = 9.0
    law: str = "uniform"
    lost_sales: bool = False
    periods: int = 20
    supply: float = math.inf

    def __post_init__(self) -> None:
        for name in ("stores", "periods"):
            value = getattr(self, name)
            if int(value) != value or value < 1:
                raise LossLandscapeError(f"{name} is {value}; pass a whole number of at least 1")
        for name in ("holding", "shortage", "supply"):
            value = getattr(self, name)
            if not value > 0 or (math.isinf(value) and name != "supply"):
                raise LossLandscapeError(f"{name} is {value}; pass a number above 0")
        if self.law not in LAWS:
            raise LossLandscapeError(f"law is {self.law!r}; choose from {', '.join(LAWS)}")
        if self.law == "exponential" and not self.lost_sales:
            raise LossLandscapeError(
                "exponential demand that is backlogged has no bound, and orders have one, so the "
                "optimum is not known; pass lost_sales=True, or law='uniform'"
            )

    @property
    def critical_ratio(self) -> float:
        """shortage / (shortage + holding): the probability that S* meets the demand."""
        return self.shortage / (self.shortage + self.holding)

    @property
    def base_stock(self) -> float:
        """The optimal level S* of each store."""
        return float(self.demand(np.array(self.critical_ratio)))

    @property
    def largest_order(self) -> float:
        """The most that a store can order in one period; enough to reach S* from any stock."""
        return 2.0 if self.law == "uniform" else 2.0 * self.base_stock

    @property
    def optimal_cost(self) -> float:
        """Expected cost per period of all stores at S*."""
        return self.expected_cost(self.base_stock)

    def expected_cost(self, level: float) -> float:
        """Expected cost per period if each store orders up to ``level`` (from 0 to 2 if uniform).

        Examples
        --------
        >>> Inventory(law="exponential", lost_sales=True).expected_cost(0.0)
        9.0
        """
        if self.law == "uniform":
            above, below = level**2 / 4, (2 - level) ** 2 / 4
        else:
            below = math.exp(-level)
            above = level - 1 + below
        return self.stores * (self.holding * above + self.shortage * below)

    def demand(self, uniforms: np.ndarray) -> np.ndarray:
        """Demands F^-1(u) of uniform random numbers u in [0, 1).

        The same numbers give the same demands to every policy (common random numbers), so the
        difference of two policies has a smaller error than either of them.
        """
        return 2.0 * uniforms if self.law == "uniform" else -np.log1p(-uniforms)

    def demands(self, episodes: int, seed: int) -> np.ndarray:
        """Demands of independent episodes, shape (episodes, periods, stores).

        Examples
        --------
        >>> Inventory(periods=3).demands(episodes=2, seed=0).shape
        (2, 3, 1)
        """
        shape = (episodes, self.periods, self.stores)
        return self.demand(np.random.default_rng(seed).random(shape))

    def order(self, action: Any) -> Any:
        """Orders of actions in [-1, 1], arrays or tensors (episodes, stores); -1 orders nothing."""
        order = (action.clip(-1, 1) + 1) * (self.largest_order / 2)
        if math.isinf(self.supply):
            return order
        return order * (self.supply / order.sum(-1).clip(min=self.supply))[..., None]

    def step(self, stock: Any, action: Any, demand: Any) -> tuple[Any, Any]:
        """One period of many episodes, in NumPy arrays or in tensors (episodes, stores).

        Returns
        -------
        stock, cost
            Of shapes (episodes, stores) and (episodes,).
        """
        left = stock + self.order(action) - demand
        kept = left.clip(min=0)
        cost = (self.holding * kept + self.shortage * (kept - left)).sum(-1)
        return (kept if self.lost_sales else left), cost

    def simulate(self, policy: Policy, demands: Any) -> Any:
        """Cost per period of each episode, under a policy.

        Parameters
        ----------
        policy : callable
            Takes stocks and returns actions in [-1, 1], both (episodes, stores): NumPy arrays if
            ``demands`` is one, tensors if it is a tensor.
        demands : array or tensor, shape (episodes, periods, stores)

        Returns
        -------
        array or tensor, shape (episodes,)

        Examples
        --------
        >>> problem = Inventory()
        >>> demands = problem.demands(episodes=4000, seed=0)
        >>> costs = problem.simulate(problem.order_up_to(problem.base_stock), demands)
        >>> error = costs.std(ddof=1) / len(costs) ** 0.5
        >>> bool(abs(costs.mean() - problem.optimal_cost) < 3 * error)
        True
        """
        stock = demands[:, 0] * 0
        total = stock.sum(-1)
        for period in range(demands.shape[1]):
            stock, cost = self.step(stock, policy(stock), demands[:, period])
            total = total + cost
        return total / demands.shape[1]

    def order_up_to(self, level: float) -> Policy:
        """The base-stock policy of a level."""
        return lambda stock: 2 * (level - stock) / self.largest_order - 1

    def learned_levels(self, policy: Policy, demands: np.ndarray) -> np.ndarray:
        """The levels after ordering, y = x + q, in each period that the policy itself reaches.

        Shape (episodes, periods, stores). A base-stock policy has one level in all of them.

        Examples
        --------
        >>> problem = Inventory()
        >>> levels = problem.learned_levels(problem.order_up_to(1.5), problem.demands(5, seed=0))
        >>> bool(abs(levels - 1.5).max() < 1e-12)
        True
        """
        stock = np.zeros((len(demands), self.stores))
        levels = []
        for period in range(demands.shape[1]):
            action = policy(stock)
            levels.append(stock + self.order(action))
            stock, _ = self.step(stock, action, demands[:, period])
        return np.stack(levels, axis=1)
