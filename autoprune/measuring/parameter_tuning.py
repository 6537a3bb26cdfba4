"""Tuning a candidate's free parameters (`candidates/parameters.py`) by measurements, with Optuna's TPE sampler.

Two stages, each with the middles of the ranges as the first trial. First the parameters of the scores, by the weighted
reconstruction error of a few decoder blocks (`evaluation/reconstruction.py`) at fixed zeros per layer, for a part of
the cost of a measurement. Then those that change what `allocate` answers, by the loss on a few windows of the search
split with all layers pruned, since reconstruction errors at different zeros per layer compare nothing. Where the
candidate would need too long to score all layers in every trial, Wanda with a few rounds of swaps stands in for it.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from torch import Tensor

from autoprune.candidates.parameters import Range, middles, ranges, with_values
from autoprune.errors import AutoPruneError, CandidateFailure
from autoprune.evaluation.algorithms import Published, session_edits
from autoprune.evaluation.bench import Bench
from autoprune.evaluation.evaluator import opened
from autoprune.evaluation.prune import Method
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.reconstruction import Reconstruction
from autoprune.evaluation.refined_tuning import TRIAL_ROUNDS
from autoprune.evaluation.trials import Trials
from autoprune.measuring.workbench import Workbench
from autoprune.progress import Bar, steps
from autoprune.pruning.allocation.units import LayerZeros
from autoprune.pruning.layers import Session
from autoprune.sandbox.algorithm import Candidate
from autoprune.sandbox.base import Sandbox

if TYPE_CHECKING:
    import optuna

WINDOWS = 4
"""Windows of the search split for a trial of the allocation's parameters."""
STAND_IN = "wanda"
"""The score whose masks stand in for those of a slow candidate."""
STARTUP = 5
"""Random trials before the sampler models the objective."""

Values = dict[str, float]
Objective = Callable[[Values], float]


@dataclass(frozen=True)
class Stage:
    """The parameters `names` were tuned in `trials` trials by an objective, from `before` at the first trial to `after`
    at the best one."""

    names: tuple[str, ...]
    by: str
    trials: int
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.by} from {self.before:.4g} to {self.after:.4g} in {self.trials} trials"


@dataclass(frozen=True)
class ParameterTuner:
    """Tunes the free parameters of one source.

    `trials`: of each stage; fewer if they would take longer than `seconds`.
    """

    bench: Bench
    sandbox: Sandbox
    source: str
    recipe: Recipe
    trials: int
    seconds: float
    seed: int

    @classmethod
    def of(cls, workbench: Workbench, source: str) -> "ParameterTuner":
        """By the settings of a workbench and the recipe of its candidates."""
        config, measurer = workbench.config, workbench.measurer
        trials, seconds = config.advanced.parameter_trials, config.sandbox.seconds
        return cls(workbench.bench, measurer.sandbox, source, workbench.candidates_recipe, trials, seconds, config.seed)

    @cached_property
    def free(self) -> dict[str, Range]:
        return ranges(self.source)

    def tune(self) -> tuple[Values, list[Stage]]:
        """The best values of all free parameters.

        Deterministic in the seed unless time ends a stage. Raises CandidateFailure if the candidate fails with the
        middles of the ranges. Other values with which it fails are discarded.
        """
        values = middles(self.free)
        with self._opened(values) as (session, zeros):
            fixed, allocates = zeros, session.has_allocate and self.recipe.kept_of is None
        sample = self.bench.sampled("search")
        of_allocation: set[str] = set()
        if sample is None:
            of_allocation = set(self.free)
        elif allocates:
            of_allocation = self._of_allocation(values, fixed)
        stages = []
        if sample and (names := [name for name in self.free if name not in of_allocation]):
            error = partial(self._error, fixed, sample)
            stages.append(self._stage(names, values, error, "weighted reconstruction error"))
        if names := [name for name in self.free if name in of_allocation]:
            slow = sample is not None and self._seconds_to_score(fixed, sample, values) * self.trials > self.seconds
            with self._stand_in() if slow else nullcontext((self._loss, "")) as (loss, masks):
                stages.append(self._stage(names, values, loss, f"loss on {WINDOWS} windows{masks}"))
        return values, stages

    def _seconds_to_score(self, fixed: LayerZeros, sample: Reconstruction, values: Values) -> float:
        """The time that the candidate needs for all layers, from that for the sampled ones."""
        started = time.perf_counter()
        self._error(fixed, sample, values)
        sampled = sum(layer.size for layer in self.bench.layers if layer.name in sample.layers)
        return (time.perf_counter() - started) * self.bench.target.weights / sampled

    def _stage(self, names: Sequence[str], values: Values, objective: Objective, by: str) -> Stage:
        """Tune some parameters, the others as in `values`, which is updated."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=STARTUP))
        study.enqueue_trial({name: values[name] for name in names})
        with steps("tuning parameters", {"": self.trials}, "trials") as bar:
            losses, best = self._tried(study, names, values, objective, bar)
        values |= best
        return Stage(tuple(names), by, len(losses), losses[0], min(losses))

    def _tried(
        self, study: "optuna.Study", names: Sequence[str], values: Values, objective: Objective, bar: Bar
    ) -> tuple[list[float], Values]:
        """The losses of all trials, and the best values."""
        import optuna

        started, losses = time.perf_counter(), list[float]()
        best = dict(values)
        while len(losses) < self.trials and self._time_for_another(started, len(losses)):
            trial = study.ask()
            drawn = {**values, **{name: self._drawn(trial, name) for name in names}}
            try:
                loss = objective(drawn)
                losses.append(loss if math.isfinite(loss) else math.inf)
            except CandidateFailure:
                if not losses:
                    raise
                losses.append(math.inf)
            if math.isfinite(losses[-1]):
                study.tell(trial, losses[-1])
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            if losses[-1] < min(losses[:-1], default=math.inf):
                best = drawn
            bar.advance()
        return losses, best

    def _drawn(self, trial: "optuna.Trial", name: str) -> float:
        limits = self.free[name]
        return limits.at(trial.suggest_float(name, limits.low, limits.high, log=limits.logarithmic))

    def _time_for_another(self, started: float, done: int) -> bool:
        spent = time.perf_counter() - started
        return not done or spent + spent / done <= self.seconds

    def _candidate(self, values: Values) -> Candidate:
        return Candidate("", with_values(self.source, values), self.sandbox)

    @contextmanager
    def _opened(self, values: Values) -> Iterator[tuple[Session, LayerZeros]]:
        with opened(self.bench, self._candidate(values), self.recipe) as (source, zeros):
            if source.session is None or zeros is None:
                raise AutoPruneError("parameters are tuned with dense statistics and zeros that are known beforehand")
            yield source.session, zeros

    def _of_allocation(self, values: Values, fixed: LayerZeros) -> set[str]:
        """The parameters with which the zeros per layer change, or `allocate` fails, at an end of their range.

        Where that takes longer than a candidate may, those that have not been tried are taken to be of the allocation.
        """
        started, found = time.perf_counter(), set(self.free)
        for name, limits in self.free.items():
            if time.perf_counter() - started > self.seconds:
                break
            if all(self._zeros({**values, name: end}) == fixed.zeros for end in (limits.low, limits.high)):
                found.remove(name)
        return found

    def _zeros(self, values: Values) -> Mapping[str, int] | None:
        try:
            with self._opened(values) as (_, zeros):
                return zeros.zeros
        except CandidateFailure:  # values for the trials to avoid
            return None

    def _error(self, fixed: LayerZeros, sample: Reconstruction, values: Values) -> float:
        """The weighted reconstruction error of the sampled layers, as a multiple of Wanda's with as many zeros."""
        method, errors = self.recipe.method(self._candidate(values)), []
        statistic = self.bench.statistics(method.reads_hessian)
        with self._opened(values) as (session, _):

            def mask(name: str, score: Tensor) -> Tensor:
                weight = self.bench.target.weight(name)
                kept = method.mask(weight, score, fixed.zeros[name], session.group, partial(statistic, name))
                return kept.cpu()

            for edit in session_edits(session, fixed.unit_sparsity, mask, sample.layers, method.pattern_text):
                weight = self.bench.target.weight(edit.name)
                edit = edit.to(weight.device)
                errors.append(sample.error(edit.name, weight, edit.mask, edit.weight))
        reference = math.fsum(sample.references(fixed.zeros, self.bench.target.weight))
        return math.fsum(errors) / reference if reference > 0 else math.fsum(errors)

    def _loss(self, values: Values) -> float:
        """The mean loss on the first windows of the search split, with all layers pruned by the masks of the scores."""
        method = self.recipe.method(self._candidate(values))
        with (
            self._opened(values) as (session, zeros),
            Trials(self.bench, self.bench.units_by("module"), session, method) as trials,
        ):
            return trials.loss(zeros.zeros, min(WINDOWS, trials.windows))

    @contextmanager
    def _stand_in(self) -> Iterator[tuple[Objective, str]]:
        """The same loss with the candidate's zeros per layer and masks of another algorithm, and its name."""
        algorithm = Published.named(STAND_IN)
        method = Method(pattern=self.recipe.kept_of, refinement="swaps", rounds=TRIAL_ROUNDS)
        with (
            algorithm.open(self.bench.readable(algorithm.needs)) as scoring,
            Trials(self.bench, self.bench.units_by("module"), scoring, method) as trials,
        ):

            def loss(values: Values) -> float:
                with self._opened(values) as (_, zeros):
                    return trials.loss(zeros.zeros, min(WINDOWS, trials.windows))

            yield loss, f" with masks of {STAND_IN} and {TRIAL_ROUNDS} rounds of swaps"
