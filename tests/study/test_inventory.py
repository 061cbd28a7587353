"""The inventory problem against the formula of the newsvendor, and against a slow simulation."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from losslandscape.errors import LossLandscapeError
from losslandscape.study.inventory import Inventory

PROBLEMS = [
    Inventory(),
    Inventory(holding=2.0, shortage=3.0, lost_sales=True, stores=3),
    Inventory(law="exponential", lost_sales=True, shortage=4.0),
]
DISTRIBUTIONS = {"uniform": stats.uniform(0, 2), "exponential": stats.expon()}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_level_is_the_newsvendors_quantile_and_minimizes_the_expected_cost(problem):
    law = DISTRIBUTIONS[problem.law]
    ratio = problem.shortage / (problem.shortage + problem.holding)
    assert problem.base_stock == pytest.approx(law.ppf(ratio))
    demands = law.ppf((np.arange(100_000) + 0.5) / 100_000)  # each as likely
    for level in (0.3, problem.base_stock, 1.7):
        kept, short = (level - demands).clip(0).mean(), (demands - level).clip(0).mean()
        by_quadrature = problem.stores * (problem.holding * kept + problem.shortage * short)
        assert problem.expected_cost(level) == pytest.approx(by_quadrature, rel=1e-4)
    found = optimize.minimize_scalar(problem.expected_cost, bounds=(0, 4), method="bounded")
    assert found.x == pytest.approx(problem.base_stock, abs=1e-4)
    assert problem.optimal_cost == pytest.approx(found.fun)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_base_stock_policy_costs_what_the_formula_says_and_no_level_near_it_less(problem):
    demands = problem.demands(4000, seed=1)
    costs = problem.simulate(problem.order_up_to(problem.base_stock), demands)
    error = costs.std(ddof=1) / math.sqrt(len(costs))
    assert abs(costs.mean() - problem.optimal_cost) < 4 * error
    for factor in (0.9, 1.1):  # the same demands, so that a small difference is seen
        others = problem.simulate(problem.order_up_to(factor * problem.base_stock), demands)
        differences = others - costs
        assert differences.mean() > 4 * differences.std(ddof=1) / math.sqrt(len(costs))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_period_starts_at_the_level(problem):
    """The limit of the orders and the first stock never keep the optimal policy from S*."""
    demands = problem.demands(500, seed=2)
    levels = problem.learned_levels(problem.order_up_to(problem.base_stock), demands)
    assert levels.shape == (500, problem.periods, problem.stores)
    np.testing.assert_allclose(levels, problem.base_stock, atol=1e-12)


def test_no_policy_of_a_table_is_better_than_the_base_stock_policy():
    """Value iteration over a grid of stocks, with backlog: the best order always leads to S*."""
    problem = Inventory(shortage=4.0)
    step = 0.05
    demands = np.arange(step / 2, 2, step)  # midpoints: each as likely
    stocks = np.arange(-2, 2 + step / 2, step)
    orders = np.arange(0, 2 + step / 2, step)
    value = np.zeros(len(stocks))
    for _ in range(4):
        after = stocks[:, None, None] + orders[None, :, None] - demands
        cost = problem.holding * after.clip(0) + problem.shortage * (-after).clip(0)
        following = np.interp(after.clip(stocks[0], stocks[-1]), stocks, value)
        total = (cost + following).mean(2)
        best, value = total.argmin(1), total.min(1)
    levels = stocks + orders[best]
    reachable = (stocks >= problem.base_stock - 2) & (stocks <= problem.base_stock)
    np.testing.assert_allclose(levels[reachable], problem.base_stock, atol=step)


@pytest.mark.parametrize("problem", [*PROBLEMS, Inventory(stores=2, supply=1.5)])
def test_the_simulation_of_many_episodes_is_that_of_one_after_the_other(problem):
    demands = problem.demands(6, seed=3)

    def policy(stock):
        return 0.3 - 0.5 * stock

    together = problem.simulate(policy, demands)
    for episode, found in zip(demands, together):
        stock, total = [0.0] * problem.stores, 0.0
        for period in episode:
            orders = [
                (min(max(0.3 - 0.5 * x, -1), 1) + 1) / 2 * problem.largest_order for x in stock
            ]
            if sum(orders) > problem.supply:
                orders = [one * problem.supply / sum(orders) for one in orders]
            for i, demand in enumerate(period):
                left = stock[i] + orders[i] - demand
                total += problem.holding * max(left, 0) + problem.shortage * max(-left, 0)
                stock[i] = max(left, 0) if problem.lost_sales else left
        assert found == pytest.approx(total / problem.periods)
    in_torch = problem.simulate(policy, torch.from_numpy(demands))
    np.testing.assert_allclose(in_torch.numpy(), together, rtol=1e-12)


def test_the_same_seed_gives_every_policy_the_same_demands():
    problem = Inventory(stores=2, law="exponential", lost_sales=True)
    demands = problem.demands(3000, seed=4)
    np.testing.assert_array_equal(demands, problem.demands(3000, seed=4))
    assert not np.array_equal(demands, problem.demands(3000, seed=5))
    assert stats.kstest(demands.ravel(), DISTRIBUTIONS["exponential"].cdf).pvalue > 1e-3


def test_a_scarce_warehouse_costs_more_than_the_bound():
    problem = Inventory(stores=3, supply=2.5)
    demands = problem.demands(300, seed=6)
    costs = problem.simulate(problem.order_up_to(problem.base_stock), demands)
    assert costs.mean() > 2 * problem.optimal_cost


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stores": 0}, "stores is 0"),
        ({"periods": 1.5}, "periods is 1.5"),
        ({"holding": 0.0}, "holding is 0.0"),
        ({"shortage": math.inf}, "shortage is inf"),
        ({"supply": math.nan}, "supply is nan"),
        ({"law": "normal"}, "choose from uniform, exponential"),
        ({"law": "exponential"}, "lost_sales=True"),
    ],
)
def test_problems_without_a_known_optimum_are_refused(arguments, message):
    with pytest.raises(LossLandscapeError, match=message):
        Inventory(**arguments)
