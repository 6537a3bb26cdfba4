"""Candidates that refine masks and update weights: what comes back is checked, and hostile ones end as they must."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autoprune.errors import CandidateFailure
from autoprune.models.bundle import Bundle
from autoprune.pruning.layers import LayerEdit, Session
from autoprune.pruning.masks import make_mask
from autoprune.sandbox.base import Sandbox
from autoprune.sandbox.local import LocalSandbox
from tests.sandbox.conftest import ON_DOCKER, PATIENT
from tests.sandbox.hostile_edits import HOSTILE_EDITS, IN_DOCKER, HostileEdit

SCORE = "import torch\n\ndef score(layer):\n    return layer.weight.abs() * layer.input_norm\n\n"
BOTH = (
    SCORE + "def refine(layer, mask):\n    return mask.flip(1)\n\ndef update(layer, mask):\n"
    "    return layer.weight * mask * layer.sparsity\n"
)
SPARSITY = 0.6
CASES = {f"{case.function}: {case.name}": case for case in HOSTILE_EDITS}


@pytest.fixture(scope="module")
def patient():
    sandbox = LocalSandbox(PATIENT)
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module")
def team():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        sandbox = LocalSandbox(PATIENT)
    yield sandbox
    sandbox.close()


class Masks:
    """Makes the masks of a bundle's layers, and keeps them by name."""

    def __init__(self, bundle: Path, group: str = "row", pattern: str = "none") -> None:
        self._bundle, self._group = Bundle(bundle), group
        self._kept_of = tuple(map(int, pattern.split(":"))) if pattern != "none" else None
        self.made: dict[str, Tensor] = {}

    def __call__(self, name: str, score: Tensor) -> Tensor:
        zeros = round(SPARSITY * score.numel())
        mask = make_mask(score, self._bundle.weight(name), zeros, self._group, self._kept_of)
        self.made[name] = mask
        return mask.clone()


def edits(session: Session, bundle: Path, masks: Masks, pattern: str = "none", **more: Any) -> dict[str, LayerEdit]:
    names = [layer.name for layer in Bundle(bundle).layers]
    return {edit.name: edit for edit in session.edits(dict.fromkeys(names, SPARSITY), masks, None, pattern, **more)}


def check_contract(bundle: Path, case: HostileEdit, masks: Masks, made: dict[str, LayerEdit]) -> None:
    """What ended well keeps the budget, and is +0.0 where it is pruned and finite elsewhere."""
    for name, edit in made.items():
        before, after = masks.made[name], edit.mask
        assert after.dtype == torch.bool
        if case.pattern != "none":
            assert torch.equal(before.unflatten(1, (-1, 4)).sum(2), after.unflatten(1, (-1, 4)).sum(2))
        elif case.group == "row":
            assert torch.equal(before.sum(1), after.sum(1))
        assert before.sum() == after.sum()
        assert (edit.weight is None) == (case.function == "refine")
        if edit.weight is not None:
            assert torch.equal(before, after)
            assert edit.weight.dtype == Bundle(bundle).dtype
            assert edit.weight.isfinite().all()
            assert not edit.weight[~after].view(torch.int16).any()  # by its bits, so no -0.0 either


@pytest.mark.parametrize(
    ("where", "case"),
    [
        *(pytest.param("local", case, id=f"local-{name}") for name, case in CASES.items()),
        *(
            pytest.param("docker", CASES[name], id=f"docker-{name}", marks=[*ON_DOCKER, pytest.mark.long])
            for name in IN_DOCKER
        ),
    ],
)
def test_hostile_edit_ends_as_it_must(
    request: pytest.FixtureRequest, patient: Sandbox, bundle: Path, where: str, case: HostileEdit
) -> None:
    sandbox: Sandbox = request.getfixturevalue(where)
    if where == "local" and not any(end.endswith("timeout") for end in case.ends):
        sandbox = patient
    before = {path: path.read_bytes() for path in bundle.iterdir()}
    masks = Masks(bundle, case.group, case.pattern)
    try:
        with sandbox.open(case.source, bundle) as session:
            made = edits(session, bundle, masks, case.pattern)
            check_contract(bundle, case, masks, made)
            times = 8 if "not-repeatable" in case.ends else 1  # a fresh process may give the same answers by chance
            end = "ok" if all(session.repeats() for _ in range(times)) else "not-repeatable"
            told = session.diagnostics
    except CandidateFailure as failure:
        end, told = f"{failure.stage}/{failure.reason}", failure.message
        assert told.isprintable()
    assert end in case.ends, told
    assert {path: path.read_bytes() for path in bundle.iterdir()} == before


@pytest.mark.parametrize("where", ["local", "team", pytest.param("docker", marks=[*ON_DOCKER, pytest.mark.long])])
def test_the_update_gets_the_refined_mask_of_each_layer(
    request: pytest.FixtureRequest, bundle: Path, where: str
) -> None:
    masks, reading = Masks(bundle), Bundle(bundle)
    with request.getfixturevalue(where).open(BOTH, bundle) as session:
        assert session.edits_defined == {"refine", "update"}
        made = edits(session, bundle, masks)
        assert session.repeats() is True
    assert list(made) == [layer.name for layer in reading.layers]
    for name, edit in made.items():
        mask = masks.made[name].flip(1)
        assert torch.equal(edit.mask, mask)
        assert torch.equal(edit.weight, (reading.weight(name).float() * mask * SPARSITY).bfloat16())


def test_a_generator_of_edits_that_was_dropped_leaves_nothing_behind(team: Sandbox, bundle: Path) -> None:
    names = [layer.name for layer in Bundle(bundle).layers]
    with team.open(BOTH, bundle) as session:
        next(iter(session.edits(dict.fromkeys(names, SPARSITY), Masks(bundle))))
        assert list(edits(session, bundle, Masks(bundle))) == names
        assert list(dict(session.scores(dict.fromkeys(names, SPARSITY)))) == names


def test_edits_share_the_seconds_of_the_scores(local: Sandbox, bundle: Path) -> None:
    slow = SCORE + "import math\ndef update(layer, mask):\n    for _ in range(10**9): math.sqrt(2)\n"
    with local.open(slow, bundle) as session, pytest.raises(CandidateFailure, match="within 2 s") as caught:
        edits(session, bundle, Masks(bundle))
    assert (caught.value.stage, caught.value.reason) == ("update", "timeout")


@pytest.mark.parametrize(
    "helper", ["def update(weight, mask): return 1\n", "update = refine = 3\n", "class refine: pass\n"]
)
def test_helpers_of_these_names_in_sources_of_the_first_version_are_not_called(
    patient: Sandbox, bundle: Path, helper: str
) -> None:
    with patient.open(SCORE + helper, bundle) as session:
        assert session.edits_defined == frozenset()


def test_an_update_that_is_gone_when_the_source_is_loaded_breaks_the_contract(patient: Sandbox, bundle: Path) -> None:
    with (
        pytest.raises(CandidateFailure, match="update is no longer a function"),
        patient.open(BOTH + "del update\n", bundle),
    ):
        pass


BUSY = "    sum(number for number in range(5_000_000))\n"
UNITS = [{"name": "block.0", "size": 64, "depth": 0.0}]


def test_a_failure_says_how_far_it_got_and_how_long_each_part_took(patient: Sandbox, bundle: Path) -> None:
    source = (
        SCORE
        + f"def allocate(units, sparsity):\n{BUSY}    return [0.5]\n\n"
        + f"def refine(layer, mask):\n{BUSY}    return mask\n\n"
        + f"def update(layer, mask):\n{BUSY}    return (layer.weight * mask)[: 64 if layer.depth < 1 else 1]\n"
    )

    def run() -> None:
        with patient.open(source, bundle) as session:
            session.allocate(UNITS, SPARSITY)
            edits(session, bundle, Masks(bundle))

    with pytest.raises(CandidateFailure, match="update returned shape") as caught:
        run()
    progress = caught.value.progress
    assert progress.startswith("3 of 6 layers were done by then (seconds by part: ")
    assert all(f"{part} " in progress for part in ("refine", "update", "allocate")), progress
    assert "score " not in progress  # it took next to nothing
    assert "seconds by kind of layer: " in progress


def test_an_allocation_that_does_not_end_says_so(local: Sandbox, bundle: Path) -> None:
    source = SCORE + "def allocate(units, sparsity):\n    while True: pass\n"
    with pytest.raises(CandidateFailure) as caught, local.open(source, bundle) as session:
        session.allocate(UNITS, SPARSITY)
    assert (caught.value.stage, caught.value.reason) == ("allocate", "timeout")
    assert re.search(r"; 0 of 6 layers were done by then \(seconds by part: allocate \d\.\d\)$", caught.value.message)
