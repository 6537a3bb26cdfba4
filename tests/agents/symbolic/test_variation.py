"""Formulas vary, and what ends them with exchanges stays as it is."""

from random import Random

import pytest

from autoprune.agents.symbolic.expression import FEW_ROUNDS, MOST_ROUNDS, sound
from autoprune.agents.symbolic.individual import Individual
from autoprune.agents.symbolic.variation import deepened, initialise, mutate_constants, mutate_structure

WANDA = ("mul", "W", ("pow", "X", 0.5))


@pytest.mark.parametrize("seed", range(40))
def test_formulas_that_compete_have_as_many_rounds_of_exchanges_as_each_other(seed):
    drawn = [initialise(Random(seed)), mutate_structure(WANDA, Random(seed))]
    assert all(each[2] == FEW_ROUNDS for each in drawn if each[0] == "exchange")


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("formula", [WANDA, "W", ("mul", "W", "X")])
def test_another_constant_leaves_the_rounds_as_they_are(formula, seed):
    changed = mutate_constants(("exchange", formula, 8.0), Random(seed))
    assert (changed[0], changed[2]) == ("exchange", 8.0)
    assert changed[1] != formula
    assert sound(changed)


def test_exchanges_are_deepened_once_and_nothing_else_is():
    deep = ("exchange", WANDA, MOST_ROUNDS)
    assert deepened(("exchange", WANDA, FEW_ROUNDS)) == deep
    assert deepened(deep) is None
    assert deepened(WANDA) is None


def test_what_is_deepened_keeps_its_group_and_allocation():
    spread = {"family": "profile"}
    shallow = Individual(("exchange", WANDA, FEW_ROUNDS), "matrix", spread)
    assert shallow.deepened() == Individual(("exchange", WANDA, MOST_ROUNDS), "matrix", spread)
    assert Individual(WANDA, "row").deepened() is None
