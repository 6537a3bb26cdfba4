"""Importances of structures against plain loops."""

import itertools
import math

import pytest
import torch

from autoprune.errors import UsageError
from autoprune.pruning.structures.greedy_block import greedy_block
from autoprune.pruning.structures.shortgpt import influence
from autoprune.pruning.structures.spec import BLOCK, CHANNEL, HEAD, KINDS, Part, Structures
from autoprune.pruning.structures.table import NAMES, spec_of, that_rank

HIDDEN, COUNT, SIZE = 5, 4, 3
OTHERS = {"greedy-block", "shortgpt"}


def statistics(shape, seed):
    chance = torch.Generator().manual_seed(seed)
    inputs = torch.randn(20, shape[1], generator=chance) * torch.rand(shape[1], generator=chance)
    return {
        "input_norm": inputs.norm(dim=0),
        "input_var": inputs.var(0, unbiased=False),
        "gradient": torch.rand(shape, generator=chance),
    }


def made(kind):
    """Two producing matrices, of which each structure holds SIZE rows and one row, and a consumer of SIZE columns."""
    shapes = [(COUNT * SIZE, HIDDEN), (COUNT, HIDDEN), (HIDDEN, COUNT * SIZE)]
    chance = torch.Generator().manual_seed(3)
    axes = (0, 0, 1) if kind != BLOCK else (0, 0, 0)
    parts = [
        Part(torch.randn(shape, generator=chance), axis, statistics(shape, at).__getitem__)
        for at, (shape, axis) in enumerate(zip(shapes, axes, strict=True))
    ]
    return Structures(kind, 1 if kind == BLOCK else COUNT, parts, 0.25)


def owner(structures, part, row, column):
    """The structure that a weight belongs to."""
    features = part.weight.shape[part.axis]
    return (row, column)[part.axis] * structures.count // features


def term(name, part, row, column):
    """What one weight adds to the importance of its structure."""
    weight = float(part.weight[row, column])
    if name == "magnitude":
        return weight * weight
    if name == "wanda-sp":
        return abs(weight) * float(part.statistic("input_norm")[column])
    if name == "flap":
        return weight * weight * float(part.statistic("input_var")[column])
    return abs(weight * float(part.statistic("gradient")[row, column]))


def by_loops(name, structures):
    totals = [0.0] * structures.count
    for part in structures.parts:
        if name in ("wanda-sp", "flap") and part is not structures.consumer:
            continue
        rows, columns = part.weight.shape
        for row, column in itertools.product(range(rows), range(columns)):
            totals[owner(structures, part, row, column)] += term(name, part, row, column)
    return [math.sqrt(total) for total in totals] if name == "magnitude" else totals


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in NAMES for kind in KINDS if kind in spec_of(name).kinds and not OTHERS & {name}],
)
def test_an_importance_is_that_of_plain_loops(name, kind):
    structures = made(kind)
    assert spec_of(name).score(structures).tolist() == pytest.approx(by_loops(name, structures), rel=1e-5)


def test_every_method_is_listed_by_its_file():
    assert NAMES == ("flap", "greedy-block", "magnitude", "shortgpt", "taylor", "wanda-sp")
    assert that_rank(CHANNEL, HEAD) == ["flap", "magnitude", "taylor", "wanda-sp"]
    assert that_rank(BLOCK) == ["greedy-block", "magnitude", "shortgpt", "taylor"]
    with pytest.raises(UsageError, match="unknown structured algorithm 'wanda'; there are flap, greedy-block"):
        spec_of("wanda")


def test_block_influence_is_one_minus_the_cosine():
    before, after = torch.randn(6, 4), torch.randn(6, 4)
    for one, other, value in zip(before.tolist(), after.tolist(), influence(before, after).tolist(), strict=True):
        dot = sum(a * b for a, b in zip(one, other, strict=True))
        lengths = math.sqrt(sum(a * a for a in one)) * math.sqrt(sum(b * b for b in other))
        assert value == pytest.approx(1 - dot / lengths, abs=1e-6)
    assert float(influence(before, 3 * before).abs().max()) < 1e-6
    assert spec_of("shortgpt").score(made(BLOCK)).tolist() == [0.25]


def test_greedy_removal_takes_the_best_block_of_every_round():
    costs, measured = {0: 5.0, 1: 1.0, 2: 2.0, 3: 4.0}, []

    def loss_without(gone):
        measured.append(gone)
        # Blocks 1 and 2 can be missed one at a time.
        return sum(costs[block] for block in gone) + 10 * ({1, 2} <= gone)

    assert greedy_block(4, 2, loss_without) == [1, 3]
    assert measured[:4] == [frozenset({block}) for block in range(4)]
    assert all(1 in gone for gone in measured[4:])
    assert len(measured) == 7
