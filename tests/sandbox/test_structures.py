"""Candidates that rank structures and update their consumers: what comes back is checked."""

from pathlib import Path

import pytest
import torch

from autoprune.errors import CandidateFailure
from autoprune.models.bundle import Bundle
from autoprune.pruning.structure_view import StructureSet
from autoprune.sandbox.base import Sandbox
from tests.sandbox.conftest import ON_DOCKER
from tests.sandbox.hostile_structures import CASES, IN_DOCKER, HostileStructures


def sets(kind: str, count: int, keep: int, feeding: str, consumer: str) -> list[StructureSet]:
    """Of both decoder blocks of the bundle."""
    parts = [((f"layers.{block}.{feeding}", 0), (f"layers.{block}.{consumer}", 1)) for block in range(2)]
    return [StructureSet(kind, block, count, keep, 0.2, of_block) for block, of_block in enumerate(parts)]


CHANNELS = sets("channel", 64, 40, "up", "down")
HEADS = sets("head", 4, 3, "q", "q")
KEPT = torch.arange(0, 40)
HEAD = 'import torch\n\nSTRUCTURE = ("channel", "head")\n\n'
WANDA_SP = HEAD + (
    "def score(structures):\n    part = structures.consumer\n"
    "    return (part.weight.abs().sum(-1) * part.input_norm).sum(1)\n"
)
SOLVED = WANDA_SP + "\ndef update(structures, kept):\n    return 2 * structures.consumer.weight[kept]\n"


def ends_as(sandbox: Sandbox, source: str, bundle: Path) -> str:
    """How a candidate ends: ok, not-repeatable, or stage/reason."""
    try:
        with sandbox.open(source, bundle) as session:
            for importances in session.importances(CHANNELS):
                assert importances.shape == (64,)
                assert bool(importances.isfinite().all())
            if "def update" in source:
                weight = session.consumer(CHANNELS[0], KEPT)
                assert weight.shape == (32, 40)
                assert bool(weight.isfinite().all())
            return "ok" if session.repeats() else "not-repeatable"
    except CandidateFailure as failure:
        return f"{failure.stage}/{failure.reason}"


def test_importances_are_those_of_the_formula_on_the_dense_weights(local, bundle):
    read = Bundle(bundle)
    with local.open(WANDA_SP, bundle) as session:
        channels, heads = list(session.importances(CHANNELS)), list(session.importances(HEADS))
        assert session.repeats() is True
    for block in range(2):
        down, q = (read.weight(f"layers.{block}.{role}").float() for role in ("down", "q"))
        norm = read.statistic(f"layers.{block}.down", "input_norm")
        assert torch.allclose(channels[block], down.abs().sum(0) * norm)
        norm = read.statistic(f"layers.{block}.q", "input_norm")
        assert torch.allclose(heads[block], (q.abs().sum(0) * norm).view(4, 8).sum(1))


def test_an_update_gives_the_consumers_weight_for_the_kept_structures_in_the_models_dtype(local, bundle):
    with local.open(SOLVED, bundle) as session:
        list(session.importances(CHANNELS))
        weight = session.consumer(CHANNELS[1], KEPT)
        assert session.repeats() is True
    assert weight.dtype == torch.bfloat16
    assert torch.equal(weight, 2 * Bundle(bundle).weight("layers.1.down")[:, :40])


def test_parts_have_the_structure_first_and_a_missing_field_is_named_with_those_that_there_are(local, bundle):
    source = HEAD + (
        "def score(structures):\n    up, down = structures.parts\n    assert up.weight.shape == (64, 1, 32)\n"
        "    assert down.weight.shape == (64, 1, 32) and down.input_var.shape == (64, 1)\n"
        "    assert up.input_var.shape == (32,) and (up.role, down.role) == ('up', 'down')\n"
        "    assert (structures.count, structures.keep, structures.kind) == (64, 40, 'channel')\n"
        "    return structures.weight\n"
    )
    with (
        pytest.raises(CandidateFailure, match="no attribute 'weight'; it has kind, count, keep, share"),
        local.open(source, bundle) as session,
    ):
        list(session.importances(CHANNELS))


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_hostile_structured_candidate_ends_as_it_must(local, bundle, case: HostileStructures):
    assert ends_as(local, case.source, bundle) in case.ends


@pytest.mark.parametrize("name", [pytest.param(name, marks=ON_DOCKER) for name in IN_DOCKER])
def test_a_hostile_structured_candidate_ends_as_it_must_in_a_container(docker, bundle, name):
    assert ends_as(docker, CASES[name].source, bundle) in CASES[name].ends
