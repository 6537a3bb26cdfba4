"""Structured pruning of a bench, on a model that was trained for some seconds."""

import pytest
import torch

from autoprune.config import Config
from autoprune.config_sections import SandboxSettings
from autoprune.errors import UsageError
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.structured import StructureBench, count_parameters, most_important
from autoprune.evaluation.structured_compare import compare_structured
from autoprune.evaluation.structured_recipe import StructuredRecipe
from autoprune.pruning.structures.table import that_rank
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.local import LocalSandbox
from tests.conftest import DATA


@pytest.fixture
def config(steady, cache):
    tree = {"device": "cpu", "dtype": "float32", **steady, "data": {**DATA, **steady["data"]}}
    return Config.model_validate(tree)


@pytest.fixture
def structures(config):
    from autoprune.evaluation.bench import open_bench

    return StructureBench(open_bench(config, None))


def kept(structures, **recipe):
    return structures.reduction(StructuredRecipe(**recipe))


def test_the_kept_channels_are_those_of_the_highest_importance(structures):
    channels = kept(structures, structure="width", params=0.3, algorithm="magnitude").channels
    for block, indices in channels.items():
        mlp = structures.bench.target.model.model.layers[block].mlp
        norms = [
            float(mlp.gate_proj.weight[at].square().sum() + mlp.up_proj.weight[at].square().sum())
            + float(mlp.down_proj.weight[:, at].square().sum())
            for at in range(56)
        ]
        best = sorted(range(56), key=norms.__getitem__, reverse=True)[: len(indices)]
        assert indices.tolist() == sorted(best)


@pytest.mark.parametrize("structure", ["width", "heads", "mix"])
def test_every_method_gives_the_same_shape_within_one_structure_of_the_share(structures, structure):
    sizes = structures.anatomy.sizes
    share = 3 * sizes.group / sizes.parameters(sizes.dense) if structure == "heads" else 0.3
    for algorithm in that_rank(*StructuredRecipe(structure, share, "magnitude").kinds):
        recipe = StructuredRecipe(structure, share, algorithm)
        target = structures.reduced(structures.reduction(recipe))
        dense = sizes.parameters(sizes.dense)
        removed = dense - structures.block_parameters(target)
        assert abs(removed - share * dense) <= 3 * sizes.channel
        assert count_parameters(structures.bench.target) - count_parameters(target) == removed


def test_compensation_lowers_the_error_of_the_layers_output(structures):
    name = structures.anatomy.layer(1, "mlp.down_proj")
    recipe = StructuredRecipe("width", 0.3, "wanda-sp", "least-squares")
    reduction = structures.reduction(recipe)
    weight = structures.bench.target.weight(name)
    hessian = structures.bench.readable(("hessian",)).hessian(name)

    def error(new):
        change = weight.clone()
        change[:, reduction.channels[1]] -= new
        return float(((change @ hessian) * change).sum())

    assert error(reduction.weights[name]) < error(weight[:, reduction.channels[1]])


def test_with_compensation_the_perplexity_is_lower_at_the_same_shape(config):
    recipes = [StructuredRecipe("width", 0.6, "flap", way) for way in ("none", "bias", "least-squares")]
    dense, plain, bias, solved = compare_structured(config, recipes)
    assert [row.algorithm for row in (dense, plain, bias, solved)] == ["dense", "flap", "flap", "flap"]
    assert bias.perplexity < plain.perplexity
    assert solved.perplexity < plain.perplexity
    assert len({row.ffn_width for row in (plain, bias, solved)}) == 1
    assert plain.parameters == solved.parameters < bias.parameters < dense.parameters
    assert plain.bytes == 4 * plain.parameters


def test_greedy_removal_is_at_least_as_good_on_its_text_as_any_other_block(structures):
    gone = kept(structures, structure="depth", params=0.33, algorithm="greedy-block").blocks
    losses = {block: structures._loss_without(frozenset({block})) for block in range(3)}
    assert set(gone) == set(range(3)) - {min(losses, key=losses.get)}


def test_blocks_are_ranked_by_influence(structures):
    blocks = kept(structures, structure="depth", params=0.33, algorithm="shortgpt").blocks
    assert set(blocks) == set(range(3)) - {min(range(3), key=structures.influence.__getitem__)}


def test_of_equal_importances_the_first_are_kept():
    assert most_important(torch.tensor([1.0, 2.0, 1.0, 1.0]), 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("recipe", "complaint"),
    [
        (("width", 0.2, "shortgpt"), "does not rank what --structure width removes; these do: flap, magnitude"),
        (("depth", 0.3, "flap"), "does not rank what --structure depth removes; these do: greedy-block, "),
        (("depth", 0.3, "shortgpt", "bias"), "removed blocks cannot be compensated"),
        (("depth", 0.3, "shortgpt", "none", 8), "keeps the FFN width"),
        (("width", 0.2, "wanda"), "unknown structured algorithm 'wanda'"),
        (("height", 0.2, "flap"), "'height' is not one of width, heads, depth, mix"),
        (("width", 0.2, "flap", "all"), "'all' is not one of none, bias, least-squares"),
    ],
)
def test_a_recipe_that_does_not_fit_together_is_refused(recipe, complaint):
    with pytest.raises(UsageError, match=complaint):
        StructuredRecipe(*recipe).check()


WANDA_SP = (
    'STRUCTURE = ("channel", "head")\n\n\ndef score(structures):\n    read = structures.consumer\n'
    "    return (read.weight.abs().sum(-1) * read.input_norm).sum(1)\n"
)
SOLVED = WANDA_SP + (
    "\n\ndef update(structures, kept):\n    import torch\n\n    read = structures.consumer\n"
    "    at = (kept[:, None] * read.weight.shape[1] + torch.arange(read.weight.shape[1])).flatten()\n"
    "    h = read.hessian + 0.01 * read.hessian.diagonal().mean() * torch.eye(len(read.hessian))\n"
    "    solved = torch.linalg.solve(h[at][:, at], h[at] @ read.weight.flatten(0, 1))\n"
    "    return solved.view(len(kept), read.weight.shape[1], -1)\n"
)
INFLUENCE = (
    'import torch\n\nSTRUCTURE = "block"\n\n\ndef score(structures):\n    return torch.tensor([structures.influence])\n'
)


@pytest.fixture(scope="module")
def sandbox():
    sandbox = LocalSandbox(SandboxSettings(engine="local"))
    yield sandbox
    sandbox.close()


@pytest.mark.parametrize("structure", ["width", "heads", "mix"])
def test_a_candidate_with_a_published_formula_keeps_what_the_published_method_keeps(structures, sandbox, structure):
    recipe = StructuredRecipe(structure, 0.2, "wanda-sp", "least-squares")
    published = structures.reduction(recipe)
    chosen = structures.chosen(recipe, Candidate("mine", WANDA_SP, sandbox))
    assert chosen.repeats is True
    for ours, theirs in ((chosen.reduction.channels, published.channels), (chosen.reduction.groups, published.groups)):
        assert (ours is None) == (theirs is None)
        assert all(torch.equal(ours[block], theirs[block]) for block in ours or {})
    assert all(torch.equal(chosen.reduction.weights[name], new) for name, new in published.weights.items())


def test_a_candidate_that_ranks_blocks_reads_their_influence(structures, sandbox):
    recipe = StructuredRecipe("depth", 0.33, "shortgpt")
    chosen = structures.chosen(recipe, Candidate("mine", INFLUENCE, sandbox))
    assert chosen.reduction.blocks == structures.reduction(recipe).blocks


def test_rows_of_candidates_stand_beside_published_ones_at_the_same_size(config, sandbox):
    plain, solved = Candidate("plain", WANDA_SP, sandbox), Candidate("solved", SOLVED, sandbox)
    broken = Candidate("broken", WANDA_SP.replace("sum(1)", "sum()"), sandbox)
    recipes = [StructuredRecipe("width", 0.6, name) for name in ("wanda-sp", "plain", "solved", "broken")]
    _, published, ours, updated, failed = compare_structured(config, recipes, algorithms=[plain, solved, broken])
    assert ours.perplexity == published.perplexity
    assert (ours.repeatable, published.repeatable, updated.repeatable) == (True, None, True)
    assert ours.parameters == updated.parameters
    assert updated.perplexity < ours.perplexity
    assert (ours.compensate, updated.compensate) == ("none", "own")
    assert failed.failed


@pytest.mark.parametrize(
    ("recipe", "source", "complaint"),
    [
        (("depth", 0.3, "mine"), WANDA_SP, "mine does not rank what --structure depth removes"),
        (("width", 0.3, "mine", "bias"), SOLVED, "mine has an update of its own; it takes no --compensate bias"),
    ],
)
def test_a_candidate_that_does_not_fit_a_recipe_is_refused(sandbox, recipe, source, complaint):
    with pytest.raises(UsageError, match=complaint):
        StructuredRecipe(*recipe).check(Candidate("mine", source, sandbox))


def test_a_candidate_that_ranks_structures_is_refused_by_a_recipe_for_weights(sandbox):
    with pytest.raises(UsageError, match="mine ranks structures, not single weights; it needs --structure"):
        Recipe(0.5).check(Candidate("mine", WANDA_SP, sandbox))
