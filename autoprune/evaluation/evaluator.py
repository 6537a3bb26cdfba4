"""The evaluator: from an algorithm and a recipe to a pruned model and its perplexity.

    recipe -> zeros per layer -> scores -> masks, refined -> new weights -> losses of windows

Scores come from a published formula or from a candidate in its sandbox, which may also refine the masks and update the
kept weights; trusted code makes the masks, checks what comes back, and measures (`pruned.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor

from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.algorithms import Algorithm, Opened
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.kept_masks import Kept, key_of, packed
from autoprune.evaluation.ladder import EVERYTHING, Ladder, StoppedEarly
from autoprune.evaluation.layer_zeros import own_zeros, zeros_beforehand
from autoprune.evaluation.mask_watch import MaskWatch
from autoprune.evaluation.online import OnlineBudget
from autoprune.evaluation.prune import Method, Plan, Seconds, Seen, prune_blocks
from autoprune.evaluation.pruned import Advance, count_zeros, measure_losses, unmeasured
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.texts import Split
from autoprune.models.observed import Observed
from autoprune.models.outputs import not_finite
from autoprune.models.target import Edits, Target
from autoprune.pruning.allocation.table import OWN, made
from autoprune.pruning.allocation.units import LayerZeros
from autoprune.pruning.layers import LayerEdit, LayerInfo, Session
from autoprune.pruning.threads import side_by_side
from autoprune.runs.measurement import DENSE, Measurement

ONLINE_WINDOWS = 2
"""Calibration windows with which an allocation on the walk measures the remaining blocks."""


def dense(bench: Bench, split: Split, advance: Advance = lambda: None) -> Measurement:
    """Measure the unpruned target; `advance` is called after each window. Raises UsageError if its perplexity is not
    finite in this dtype."""
    try:
        return measure_losses(bench, unmeasured(bench, DENSE, split, 0), advance=advance)
    except CandidateFailure as failure:
        raise UsageError(f"{failure.message}: {not_finite(bench.target)}") from None


def as_it_is(bench: Bench, split: Split, advance: Advance = lambda: None) -> Measurement:
    """Measure the target in its present state. Raises CandidateFailure if its perplexity is not finite."""
    zeros = sum(bench.target.zeros(layer.name) for layer in bench.layers)
    return measure_losses(bench, unmeasured(bench, "", split, zeros), advance=advance)


def measure(
    bench: Bench,
    algorithm: Algorithm,
    recipe: Recipe,
    split: Split,
    ladder: Ladder = EVERYTHING,
    subject: str = "",
    advance: Advance = lambda: None,
    look: Callable[[Target], None] = lambda target: None,
) -> Measurement:
    """Prune the target by a recipe, measure it as far as the ladder allows, and restore the dense weights.

    `look` is called with the pruned model after it is measured. Raises UsageError for a recipe that does not fit;
    CandidateFailure if the algorithm fails, the ladder rejects its masks, or the perplexity is not finite; StoppedEarly
    if the ladder ends the measurement.
    """
    sample = bench.sampled(split)  # first, since collecting its statistics does not count as time of the score
    order = sample.order() if sample else None
    key = key_of(algorithm, recipe) if bench.masks.fits(bench.target.weights) else None
    if kept := bench.masks.find(key):
        return _measured_again(bench, algorithm, recipe, split, ladder, subject, kept, order, advance, look)
    bits: dict[str, Any] = {}
    with opened(bench, algorithm, recipe) as (source, zeros), bench.target.edited() as edits:
        league = recipe.league(algorithm)
        by_layer = zeros.zeros if zeros else None
        watch = MaskWatch(bench, unmeasured(bench, subject, split, 0, league), ladder, by_layer)

        def see(name: str, weight: Tensor, mask: Tensor, updated: Tensor | None) -> None:
            watch.see(name, weight, mask, updated)
            if key:
                bits[name] = packed(mask)

        try:
            seconds = _apply(bench, algorithm, source, recipe, zeros, edits, see, advance, order, watch.check)
            count = count_zeros(bench, algorithm, recipe, zeros)
            measured = measure_losses(bench, watch.record(seconds, count), ladder)
            look(bench.target)
        except StoppedEarly as stopped:
            stopped.partial = stopped.partial.model_copy(update=source.facts)
            raise
        measured = measured.model_copy(update={"repeats": source.repeats(), **source.facts})
    if key and zeros and measured.repeats is not False:
        bench.masks.keep(key, Kept(zeros, bits, measured))
    return measured


def _measured_again(
    bench: Bench,
    algorithm: Algorithm,
    recipe: Recipe,
    split: Split,
    ladder: Ladder,
    subject: str,
    kept: Kept,
    order: Sequence[str] | None,
    advance: Advance,
    look: Callable[[Target], None],
) -> Measurement:
    """Measure the masks of an earlier measurement, which depend neither on the split nor on chance."""
    with bench.target.edited() as edits:
        watch = MaskWatch(bench, unmeasured(bench, subject, split, 0), ladder, kept.zeros.zeros)
        seconds = Seconds()
        for name in order or [layer.name for layer in bench.layers]:
            weight = bench.target.weight(name)
            mask = kept.mask(name, weight)
            watch.see(name, weight, mask)
            edits.mask(name, mask)
            seconds.spent_on("mask")
            watch.check(name, seconds)
            advance()
        count = count_zeros(bench, algorithm, recipe, kept.zeros)
        measured = measure_losses(bench, watch.record(seconds, count), ladder)
        look(bench.target)
        return measured.model_copy(update=kept.facts)


def prune(
    bench: Bench, algorithm: Algorithm, recipe: Recipe, edits: Edits, advance: Advance = lambda: None
) -> tuple[Seconds, bool | None]:
    """Prune the bench's target, which must be dense. Returns seconds by phase, and whether scores are repeatable.

    Raises UsageError for a recipe that does not fit, CandidateFailure if a candidate fails, AutoPruneError if the
    number of zeros is wrong.
    """
    with opened(bench, algorithm, recipe) as (source, zeros):
        seconds = _apply(bench, algorithm, source, recipe, zeros, edits, advance=advance)
        count_zeros(bench, algorithm, recipe, zeros)
        return seconds, source.repeats()


@contextmanager
def opened(bench: Bench, algorithm: Algorithm, recipe: Recipe) -> Iterator[tuple[Opened, LayerZeros | None]]:
    """The algorithm, opened on dense statistics or to be opened for every block of a walk, and its zeros per layer,
    None if they are decided on the walk."""
    recipe.check(algorithm)
    zeros = zeros_beforehand(bench, algorithm, recipe)  # before its time starts
    own = recipe.allocation == OWN
    if recipe.statistics == "dense" or own or recipe.own_first:
        with algorithm.open(bench.readable(algorithm.needs)) as session:
            if own or (recipe.own_first and session.has_allocate and recipe.kept_of is None):
                zeros = own_zeros(bench, recipe, session, algorithm.name)
            if recipe.statistics == "dense":
                yield Opened(algorithm, session), zeros
                return
    yield Opened(algorithm), zeros


def _apply(
    bench: Bench,
    algorithm: Algorithm,
    source: Opened,
    recipe: Recipe,
    zeros: LayerZeros | None,
    edits: Edits,
    seen: Seen = lambda name, weight, mask, updated: None,
    advance: Advance = lambda: None,
    order: Sequence[str] | None = None,
    check: Callable[[str, Seconds], None] = lambda name, seconds: None,
) -> Seconds:
    """Compute scores, masks and new weights, on a walk if an update or the statistics need one.

    Without a walk, layers are scored in `order`, and after each of them `check` is called, which may raise, and
    `advance`; on a walk `advance` is called after each window of each block.
    """
    method = recipe.method(algorithm)
    if source.session is not None and zeros is not None and method.update == "none":
        return _at_once(bench, source.session, zeros, method, edits, seen, order, check, advance)
    sequential = recipe.statistics == "sequential"
    return prune_blocks(
        bench.target,
        bench.windows("calibration").tokens,
        method,
        _plan(bench, recipe, zeros),
        source.on,
        edits,
        sequential=sequential,
        hessian=sequential and "hessian" in algorithm.needs,
        dense=_dense_statistics(bench, algorithm.needs) if sequential else {},
        seen=seen,
        advance=advance,
    )


def _dense_statistics(bench: Bench, needs: Sequence[str]) -> dict[str, Callable[[str], Tensor]]:
    """The needed statistics of backward passes, which a walk does not collect: name -> (layer -> that of the dense
    model)."""

    def of_layer(statistic: str, name: str) -> Tensor:
        tensor: Tensor = getattr(bench.readable((statistic,)).view(name, 0.0), statistic)
        return tensor

    return {statistic: partial(of_layer, statistic) for statistic in needs if statistic != "hessian"}


def _at_once(
    bench: Bench,
    session: Session,
    zeros: LayerZeros,
    method: Method,
    edits: Edits,
    seen: Seen,
    order: Sequence[str] | None,
    check: Callable[[str, Seconds], None],
    advance: Advance,
) -> Seconds:
    """Score from cached statistics without a published update: masks are computed in parallel, without a walk."""
    statistic = bench.statistics(method.reads_hessian)  # may collect statistics, so before the time starts
    seconds = Seconds()

    def mask(name: str, score: Tensor) -> Tensor:
        weight = bench.target.weight(name)
        return method.mask(weight, score, zeros.zeros[name], session.group, partial(statistic, name))

    def watched(edit: LayerEdit) -> LayerEdit:
        weight = bench.target.weight(edit.name)
        edit = edit.to(weight.device)
        seen(edit.name, weight, edit.mask, edit.weight)
        return edit

    def masked(scored: tuple[str, Tensor]) -> LayerEdit:
        return watched(LayerEdit(scored[0], mask(*scored), None))

    where = (order, method.pattern_text)
    if session.edits_defined:
        own = session.edits(zeros.unit_sparsity, seconds.masking(mask), *where)
        made = side_by_side(watched, seconds.timed(own))
    else:
        made = side_by_side(masked, seconds.timed(session.scores(zeros.unit_sparsity, *where)))
    scored = 0
    for edit in made:
        edits.apply(edit)
        check(edit.name, seconds)
        advance()
        scored += 1
    seconds.spent_on("mask")
    if scored != len(bench.layers):
        raise CandidateFailure("check", "protocol", f"{scored} of {len(bench.layers)} layers were scored")
    return seconds


def _plan(bench: Bench, recipe: Recipe, zeros: LayerZeros | None) -> Plan:
    online = None if zeros is not None else made(recipe.allocation).online
    if online is not None:
        few = bench.windows("calibration").tokens[:ONLINE_WINDOWS]
        return OnlineBudget(bench.target, few, online, recipe.sparsity)

    def plan(layers: Sequence[LayerInfo], block: Observed) -> tuple[Mapping[str, int], Mapping[str, float]]:
        if zeros is None:
            raise AutoPruneError(f"the allocation {recipe.allocation} has no zeros per layer")
        return zeros

    return plan
