"""Numbers of rounds in a source are found by their names and raised, and nothing else is."""

import pytest

from autoprune.candidates.rounds import raised
from autoprune.candidates.screen import screen

SWAPPED = """from autoprune import kit

ROUNDS = 4
SCALE = 4
SLOPE_OF_CYCLES: int = 3


def improve(layer, mask, sweeps=2, *, steps=9):
    for _ in range(ROUNDS):
        mask = kit.swaps(layer.weight, mask, layer.hessian, 8)
    return kit.dsnot(layer.weight, mask, 1, 2, 3, cycles=50) if steps else mask


def refine(layer, mask):
    é = kit.swaps(layer.weight, mask, hessian=layer.hessian, pattern=layer.pattern)
    return kit.swaps(layer.weight, improve(layer, é, sweeps=5), layer.hessian, rounds=None)


def score(layer):
    return layer.weight.abs()
"""


def test_rounds_are_raised_wherever_they_are_given():
    deep = raised(SWAPPED, 2)
    for line in (
        "ROUNDS = 8",
        "SCALE = 4",
        "SLOPE_OF_CYCLES: int = 6",
        "def improve(layer, mask, sweeps=4, *, steps=9):",
        "kit.swaps(layer.weight, mask, layer.hessian, 16)",
        "cycles=100)",
        "é = kit.swaps(layer.weight, mask, hessian=layer.hessian, pattern=layer.pattern, rounds=32)",
        "improve(layer, é, sweeps=10), layer.hessian, rounds=None)",
    ):
        assert line in deep
    assert not [finding for finding in screen(deep) if finding.severity == "error"]


def test_rounds_are_added_behind_any_argument():
    for call in ("kit.swaps(w, s, (h + e))", "kit.swaps(w, s, (h := e))"):
        deep = raised(f"def score(layer):\n    return {call}\n", 2)
        assert f"{call[:-1]}, rounds=32)" in deep


@pytest.mark.parametrize(
    "source",
    [
        "def score(layer):\n    return layer.weight.abs()\n",
        "ROUNDS = 0\nSWEEPS = True\nITERATIONS = 2.5\nPASSES = 1000\n",
        "not python",
        "def score(layer):\n    rounds = len(layer.weight)\n    return kit.swaps(*arguments)\n",
    ],
)
def test_where_there_is_nothing_to_raise_there_is_no_source(source):
    assert raised(source, 2) is None
