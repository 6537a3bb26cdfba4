"""Trying a draft: the weighted reconstruction errors of a few layers, long before a perplexity is measured.

A draft runs like a candidate: found functions are inlined, the source screen applies the rules of the search, and the
sandbox computes its scores and edits, for a few layers and in a part of a candidate's time. Nothing is stored.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from autoprune.candidates.inlining import inlined
from autoprune.candidates.library import FoundFunction
from autoprune.candidates.screen import Rules, refuse
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.evaluation.algorithms import session_edits
from autoprune.evaluation.evaluator import opened
from autoprune.evaluation.prune import Seconds
from autoprune.evaluation.reconstruction import sampled_blocks
from autoprune.measuring.workbench import Workbench
from autoprune.pruning.allocation.units import LayerZeros
from autoprune.pruning.layers import LayerEdit, LayerInfo
from autoprune.sandbox.algorithm import Candidate

SECONDS = 60.0
"""The most seconds of a draft, as those of a candidate are counted: only while the sandbox computes."""
PER_ROLE = 2
"""Layers of each role. Processes of the sandbox take layers in turn, so that two get equal shares."""
MOST_ROLES = 8


@dataclass(frozen=True)
class TriedLayer:
    """A layer with its `zeros` and the relative weighted reconstruction errors at this number of zeros: of the draft,
    of Wanda, and of the parent if there is one that could be tried."""

    name: str
    size: int
    zeros: int
    error: float
    wanda: float
    parent: float | None = None


@dataclass(frozen=True)
class LayerTrial:
    """What came of a draft. `seconds`: for all layers, extrapolated. `parent_problem`: why there is no parent."""

    layers: list[TriedLayer]
    seconds: float
    parent_problem: str = ""


def tried_layers(layers: Sequence[LayerInfo]) -> list[str]:
    """The names of PER_ROLE layers of each role, from the sampled decoder blocks in turn, so that different roles
    show different depths; of fewer where there are fewer."""
    by_role: dict[str, dict[int, str]] = {}
    blocks = sampled_blocks(layers)
    for layer in layers:
        if layer.block in blocks:
            by_role.setdefault(layer.role, {}).setdefault(layer.block, layer.name)
    names = []
    for place, of_block in enumerate(list(by_role.values())[:MOST_ROLES]):
        where = [block for block in blocks if block in of_block]
        chosen = [where[(place + part * len(where) // PER_ROLE) % len(where)] for part in range(PER_ROLE)]
        names += [of_block[block] for block in dict.fromkeys(chosen)]
    return names


@dataclass
class LayerTrials:
    """Tries drafts of one proposal on a workbench, beside its parent. `found`: found functions that drafts may use.

    Every trial holds the compute lock, so that no measurement in this process runs beside it.
    """

    workbench: Workbench
    parent: str | None = None
    found: Mapping[str, FoundFunction] = field(default_factory=dict)
    _parents: dict[tuple[tuple[str, int], ...], dict[str, float] | CandidateFailure] = field(default_factory=dict)
    """The parent's errors by the zeros of the tried layers."""

    @property
    def seconds(self) -> float:
        """The most seconds of one draft."""
        return min(SECONDS, self.workbench.config.sandbox.seconds)

    def try_draft(self, source: str) -> LayerTrial:
        """Run a draft on the tried layers. Raises CandidateFailure with stage and reason, as for a candidate."""
        source = inlined(source, self.found)
        refuse(source, Rules.of(self.workbench.config))
        bench = self.workbench.bench
        with self.workbench.measurer.lock:
            names = tried_layers(bench.layers)
            errors, zeros, seconds = self._errors(source, names)
            wanda = {
                name: bench.reconstruction().reference(name, bench.target.weight(name), zeros.zeros[name])
                for name in names
            }
            parent = self._parent(names, zeros)
        sizes = {layer.name: layer.size for layer in bench.layers}
        problem = f"{parent.stage}: {parent.reason}: {parent.message}" if isinstance(parent, CandidateFailure) else ""
        of_parent = {} if isinstance(parent, CandidateFailure) else parent
        return LayerTrial(
            [
                TriedLayer(name, sizes[name], zeros.zeros[name], errors[name], wanda[name], of_parent.get(name))
                for name in names
            ],
            seconds * sum(sizes.values()) / sum(sizes[name] for name in names),
            problem,
        )

    def _parent(self, names: Sequence[str], zeros: LayerZeros) -> dict[str, float] | CandidateFailure:
        """The parent's errors with the draft's zeros per layer; none without a parent, or its failure."""
        if self.parent is None:
            return {}
        key = tuple((name, zeros.zeros[name]) for name in names)
        if key not in self._parents:
            try:
                self._parents[key] = self._errors(self.parent, names, zeros)[0]
            except CandidateFailure as failure:
                self._parents[key] = failure
        return self._parents[key]

    def _errors(
        self, source: str, names: Sequence[str], fixed: LayerZeros | None = None
    ) -> tuple[dict[str, float], LayerZeros, float]:
        """Layer -> relative error, the zeros per layer (by default those of the source's recipe), and the seconds."""
        bench, measurer = self.workbench.bench, self.workbench.measurer
        times = self.seconds / self.workbench.config.sandbox.seconds
        draft = Candidate("draft", source, measurer.sandbox, times=times)
        recipe = self.workbench.candidates_recipe
        method, sample = recipe.method(draft), bench.reconstruction()
        statistic = bench.statistics(method.reads_hessian)
        with opened(bench, draft, recipe) as (algorithm, own):
            session, zeros = algorithm.session, fixed or own
            if session is None or zeros is None:
                raise AutoPruneError("drafts are tried with dense statistics and zeros that are known beforehand")
            seconds = Seconds()

            def mask(name: str, score: Tensor) -> Tensor:
                weight = bench.target.weight(name)
                return method.mask(weight, score, zeros.zeros[name], session.group, partial(statistic, name)).cpu()

            edits = session_edits(session, zeros.unit_sparsity, seconds.masking(mask), names, method.pattern_text)
            made: list[LayerEdit] = list(seconds.timed(edits))
        errors = {}
        for edit in made:
            weight = bench.target.weight(edit.name)
            edit = edit.to(weight.device)
            errors[edit.name] = sample.error(edit.name, weight, edit.mask, edit.weight)
        broken = next((name for name, error in errors.items() if not math.isfinite(error)), None)
        if broken is not None:
            raise CandidateFailure("check", "not-finite", f"the reconstruction error of {broken} is not finite")
        return errors, zeros, seconds.score
