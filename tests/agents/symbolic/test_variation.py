"""Formulas vary, and what ends them with exchanges stays as it is."""

from random import Random

import pytest

from autoprune.agents.symbolic.expression import FEW_ROUNDS, MOST_ROUNDS, sound
from autoprune.agents.symbolic.individual import Individual
from autoprune.agents.symbolic.operators import CODE
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


@pytest.mark.parametrize("shallow", [WANDA, ("exchange", WANDA, FEW_ROUNDS)])
def test_a_formula_is_deepened_once(shallow):
    deep = ("exchange", WANDA, MOST_ROUNDS)
    assert deepened(shallow) == deep
    assert deepened(deep) is None


def test_what_is_deepened_keeps_its_group_and_allocation():
    spread = {"family": "profile"}
    shallow = Individual(("exchange", WANDA, FEW_ROUNDS), "matrix", spread)
    assert shallow.deepened() == Individual(("exchange", WANDA, MOST_ROUNDS), "matrix", spread)


def test_others_code_is_deepened_unless_that_would_lose_its_allocation():
    code = 'GROUP = "matrix"\n\n\ndef score(layer):\n    return layer.weight.abs()\n'
    deep = Individual.of({}, code).deepened()
    assert deep == Individual(("exchange", (CODE, code), MOST_ROUNDS), "matrix")
    assert "layer.weight.abs()" in deep.source
    spreads = code + "\n\ndef allocate(units, sparsity):\n    return [1.0 for unit in units]\n"
    assert Individual.of({}, spreads).deepened() is None
    assert Individual.of({}, "def score(layer) return 1").deepened() is None
