"""The bench: one target with its texts and statistics, loaded once; it turns scores into masks and measures them.

Nothing here imports or runs a candidate's code. What is measured are the very weights whose zeros were counted.
"""

import functools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from autoprune.config import Config
from autoprune.config_values import SWAP_ROUNDS, Refinement
from autoprune.downloads import cache_dir
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.algorithms import Published
from autoprune.evaluation.bos import choose_bos, shown
from autoprune.evaluation.ladder import EVERYTHING, Ladder
from autoprune.evaluation.measurement import LayerDiagnostic, Measurement
from autoprune.evaluation.perplexity import check_length, perplexity, window_losses, windows_per_pass
from autoprune.evaluation.racing import order
from autoprune.evaluation.reconstruction import Reconstruction, sampled_blocks
from autoprune.evaluation.signature import Signature
from autoprune.evaluation.statistics_cache import StatisticsCache
from autoprune.evaluation.texts import Split, Windows, load_calibration, load_splits
from autoprune.evaluation.units import Units
from autoprune.evaluation.vocabulary import check_samples, check_tokens
from autoprune.pruning.allocation.choose import READS, choose_allocation
from autoprune.pruning.allocation.sdsa import preset
from autoprune.pruning.bundle import Bundle, LayerInfo
from autoprune.pruning.masks import make_mask, masked_weight, nm_zeros
from autoprune.pruning.outputs import not_finite
from autoprune.pruning.prune import Seconds
from autoprune.pruning.refinements import swaps
from autoprune.pruning.target import Target, load_target
from autoprune.pruning.threads import side_by_side

_version = functools.cache(version)
"""Of a package. It is wanted with every measurement that is looked up, and would read a file each time."""

Refine = Callable[[str, Tensor, Tensor], Tensor]
"""Layer name, dense weight and mask, both [out, in] -> a better mask with the same zeros."""


def unrefined(name: str, weight: Tensor, mask: Tensor) -> Tensor:
    """The mask as it is."""
    return mask


class Bench:
    """Measures masks on one target. One thread at a time."""

    def __init__(self, target: Target, splits: dict[Split, Windows], config: Config, cache: StatisticsCache) -> None:
        self.target = target
        self.layers: list[LayerInfo] = target.layers
        self._splits = splits
        self._config = config
        self._cache = cache
        check_tokens(target, splits.values())
        self._bundle = Bundle(cache.bundle())
        self._signature = Signature(self.layers)
        self._units: dict[str, Units] = {}
        self._energy: dict[str, float] = {}
        self._reconstruction: Reconstruction | None = None

    def calibrated(self, seed: int) -> "Bench":
        """A bench on the same target and texts, calibrated on the sequences that a seed draws (`load_calibration`)."""
        bos = self._splits["calibration"].bos
        windows = load_calibration(self._config.data, self.target.tokenizer, seed).with_bos(bos)
        return Bench(self.target, {**self._splits, "calibration": windows}, self._config, self._cache.of(windows))

    @property
    def units(self) -> list[dict[str, Any]]:
        """The contract's unit statistics, one mapping per unit in order."""
        return self.units_by(self._config.allocation.unit).described()

    def units_by(self, kind: str) -> Units:
        """The units of one kind (block, module, projection), with what is known about them."""
        if kind not in self._units:
            self._units[kind] = Units(self._bundle, kind)
        return self._units[kind]

    def bundle(self, extra_fields: tuple[str, ...] = ()) -> Path:
        """The directory that a candidate may read; `extra_fields` (gradient, hessian) are collected on demand.

        Raises CandidateFailure for a gradient where the target's blocks are not on its device.
        """
        if "gradient" in extra_fields and self.target.offloaded:
            raise CandidateFailure(
                "start", "memory", "the gradient needs all of the target on its device, and its blocks are offloaded"
            )
        return self._cache.bundle(extra_fields)

    def readable(self, needs: tuple[str, ...] = ()) -> Bundle:
        """The dense statistics, opened for reading, with the on-demand ones that are needed."""
        return Bundle(self.bundle(needs)) if needs else self._bundle

    def sampled(self, split: Split) -> Reconstruction | None:
        """What forecasts a candidate from a few decoder blocks: where candidates compete, if the settings want it."""
        if split != "search" or self._config.search.layer_error is None:
            return None
        if self._reconstruction is None:
            self._reconstruction = Reconstruction(Bundle(self._cache.sample(sampled_blocks(self.layers))))
        return self._reconstruction

    def scoring_order(self, split: Split) -> list[str]:
        """The layers in the order in which a candidate is to score them, so that it can be stopped early."""
        sample = self.sampled(split)
        return sample.order() if sample else [layer.name for layer in self.layers]

    def take_statistics_seconds(self) -> float:
        """Spent on collecting dense statistics since this was last asked; none where they were found on disk."""
        seconds, self._cache.seconds = self._cache.seconds, 0.0
        return seconds

    def windows(self, split: Split) -> Windows:
        """The windows of a split."""
        return self._splits[split]

    def zeros(self, sparsity: float, allocation: str) -> dict[str, int]:
        """Zeros per layer from a named allocation, in total exactly round(s N)."""
        settings = self._config.allocation
        units = self.units_by(settings.unit)
        chosen = choose_allocation(allocation)
        if allocation == "sdsa":
            chosen = preset(settings.preset, settings.kappa, settings.tau, settings.delta)
        return units.spread(chosen(units.described(READS[allocation]), sparsity), sparsity)

    def pattern_zeros(self, pattern: tuple[int, int]) -> dict[str, int]:
        """Zeros per layer under a pattern n:m. Raises UsageError when it does not divide a layer's inputs."""
        return {layer.name: nm_zeros(self.target.weight(layer.name), *pattern) for layer in self.layers}

    def unit_sparsity(self, zeros: dict[str, int]) -> dict[str, float]:
        """Layer name -> sparsity of the layer's unit: what a candidate is told."""
        return self.units_by(self._config.allocation.unit).sparsity(zeros)

    def dense(self, split: Split) -> Measurement:
        """The unpruned target. Raises UsageError where its perplexity is not finite in this dtype."""
        try:
            return self._perplexity(split, self._unmeasured(split, {}))
        except CandidateFailure as failure:
            raise UsageError(f"{failure.message}: {not_finite(self.target)}") from None

    def now(self, split: Split) -> Measurement:
        """The target as it is now, whatever was done to its weights. Raises CandidateFailure when it is not finite."""
        zeros = {layer.name: self.target.zeros(layer.name) for layer in self.layers}
        return self._perplexity(split, self._unmeasured(split, zeros))

    def losses(
        self,
        split: Split,
        windows: int | None = None,
        looks: Sequence[int] = (),
        check: Callable[[list[float]], None] = lambda losses: None,
        skip: int = 0,
    ) -> list[float]:
        """The losses, in nats, of the model as it is now on the first windows of a split (None: all) but `skip`.

        They are measured in the order of `racing.order` and handed out in that of the text. After each number of
        windows in `looks`, `check` sees the losses so far, in the order of measurement, and may raise. Where blocks
        come and go, all windows pass before the first look: it is the coming and going that costs.
        """
        tokens, lead = self._splits[split].tokens[skip:windows], self._splits[split].lead
        places = order(len(tokens))
        ahead = window_losses(self.target, tokens[places], lead=lead) if self.target.offloaded else None
        measured: list[float] = []
        for start, stop in pairwise((0, *looks) if looks else (0, len(tokens))):
            measured += (
                ahead[start:stop] if ahead else window_losses(self.target, tokens[places[start:stop]], lead=lead)
            )
            check(measured)
        by_place = dict(zip(places, measured, strict=True))
        return [by_place[place] for place in range(len(tokens))]

    def refine(
        self, refinement: Refinement, pattern: tuple[int, int] | None = None, rounds: int = SWAP_ROUNDS
    ) -> Refine:
        """What a refinement makes of masks, within every n:m of a pattern; swaps read the cached dense Hessians."""
        if refinement == "none":
            return unrefined
        statistics = self.readable(("hessian",))

        def refined(name: str, weight: Tensor, mask: Tensor) -> Tensor:
            return swaps(weight, statistics.hessian(name).to(weight.device), mask, rounds, pattern)

        return refined

    def patterned(
        self, score: str, pattern: tuple[int, int], split: Split, refinement: Refinement = "none"
    ) -> Measurement:
        """A published score, and a refinement, under a pattern n:m, in every layer alike."""
        zeros = self.pattern_zeros(pattern)
        algorithm, refine = Published.named(score), self.refine(refinement, pattern)
        with algorithm.open(self.readable(algorithm.needs)) as scoring:
            scores = scoring.scores(self.unit_sparsity(zeros))
            return self.measure(scores, scoring.group, zeros, split, pattern=pattern, refine=refine)

    def baseline(
        self, score: str, allocation: str, sparsity: float, split: Split, refinement: Refinement = "none"
    ) -> Measurement:
        """A published score with a named allocation and a refinement."""
        zeros = self.zeros(sparsity, allocation)
        algorithm, refine = Published.named(score), self.refine(refinement)
        with algorithm.open(self.readable(algorithm.needs)) as scoring:
            scores = scoring.scores(self.unit_sparsity(zeros))
            return self.measure(scores, scoring.group, zeros, split, refine=refine)

    def measure(
        self,
        scores: Iterable[tuple[str, Tensor]],
        group: str,
        zeros: dict[str, int],
        split: Split,
        ladder: Ladder = EVERYTHING,
        pattern: tuple[int, int] | None = None,
        refine: Refine = unrefined,
    ) -> Measurement:
        """Masks from scores as they come, refined, then perplexity, as far as the ladder lets them.

        `zeros`: of each layer; with a `pattern` n:m those of `pattern_zeros`, and `group` does not count. `refine`: of
        trusted code, which is what `refine` makes.
        Raises CandidateFailure: stage check when layers are missing or the ladder refuses the masks, stage measure when
        the perplexity is not finite; StoppedEarly when the ladder says that the rest is not worth measuring.
        """
        sample = self.sampled(split)  # what is collected for it is no part of the score's time
        spent = Seconds()
        masks, diagnostics = self.target.no_masks(), {}
        masked = replace(self._unmeasured(split, zeros), sampled_layers=len(sample.layers) if sample else 0)

        def mask(scored: tuple[str, Tensor]) -> tuple[str, Tensor, LayerDiagnostic, float | None]:
            name, score = scored
            weight = self.target.weight(name)
            kept = refine(name, weight, make_mask(score, weight, zeros[name], group, pattern))
            error = sample.error(name, weight, kept) if sample and name in sample.layers else None
            return name, kept, self._diagnose(name, kept), error

        for name, kept, diagnostics[name], error in side_by_side(mask, spent.heard(scores)):
            masks[name] = kept
            if error is not None:
                masked = replace(masked, layer_errors=[*masked.layer_errors, error], seconds=spent.masking())
                ladder.check_error(masked)
        spent.spent_on("mask")
        names = [layer.name for layer in self.layers]
        if set(masks) != set(names):
            raise CandidateFailure("check", "protocol", f"{len(masks)} of {len(names)} layers were scored")
        masked = replace(
            masked,
            layers=[diagnostics[name] for name in names],
            signature=self._signature.of(masks),
            seconds=spent.masking(),
        )
        ladder.accept(masked.signature)
        with self.target.pruned(masks):
            self._check_zeros(zeros)
            return self._perplexity(split, masked, ladder)

    def fingerprints(self) -> dict[str, Any]:
        """What the numbers depend on: model, texts, dtype, versions."""
        return {
            "model": self.target.fingerprint,
            "dtype": str(self.target.dtype).removeprefix("torch."),
            "windows_per_pass": windows_per_pass(self.target.dtype),
            "device": self.target.device.type,
            "texts": {split: _told(text) for split, text in self._splits.items()},
            "statistics": "dense",
            "torch": _version("torch"),
            "transformers": _version("transformers"),
        }

    def _unmeasured(self, split: Split, zeros: dict[str, int]) -> Measurement:
        """All that is known before the first window."""
        windows, count = self._splits[split], sum(zeros.values())
        return Measurement(
            split=split,
            perplexity=math.nan,
            window_losses=[],
            sparsity=count / self.target.weights,
            zeros=count,
            weights=self.target.weights,
            seqlen=windows.seqlen,
            windows=len(windows.tokens),
            bos=shown(windows.bos),
        )

    def _perplexity(self, split: Split, masked: Measurement, ladder: Ladder = EVERYTHING) -> Measurement:
        started = time.perf_counter()

        def timed() -> Measurement:
            return replace(masked, seconds={**masked.seconds, "eval": time.perf_counter() - started})

        def check(losses: list[float]) -> None:
            if not math.isfinite(perplexity(losses)):
                raise CandidateFailure("measure", "not-finite", f"the perplexity on the {split} split is not finite")
            ladder.check_losses(timed(), losses)

        losses = self.losses(split, looks=ladder.looks(masked.windows), check=check)
        return replace(timed(), window_losses=losses, perplexity=perplexity(losses))

    def _diagnose(self, name: str, mask: Tensor) -> LayerDiagnostic:
        weight = self.target.weight(name)
        curvature = self._bundle.statistic(name, "hessian_diag").to(weight.device)
        if name not in self._energy:
            self._energy[name] = _energy(weight, curvature)
        total, kept = self._energy[name], _energy(masked_weight(weight, mask), curvature)
        error = (total - kept) / total if total > 0 else 0.0
        return LayerDiagnostic(name, 1.0 - int(mask.count_nonzero()) / mask.numel(), max(error, 0.0))

    def _check_zeros(self, zeros: dict[str, int]) -> None:
        names = [layer.name for layer in self.layers]
        for name, found in zip(names, side_by_side(self.target.zeros, names), strict=True):
            if found != zeros[name]:
                raise AutoPruneError(f"layer {name} has {found} zeros, not the {zeros[name]} that were set")


def _told(text: Windows) -> dict[str, str]:
    """What a text is. Where no BOS is prepended nothing is said of it: such measurements are known from before."""
    return {"source": text.source, "tokens": text.fingerprint, **({"bos": text.bos.text} if text.bos else {})}


def _energy(weight: Tensor, curvature: Tensor) -> float:
    """sum of w^2 h: the expected mean square of a layer's output, its inputs taken as independent."""
    return float(weight.float().square().sum(0) @ curvature)


def open_bench(config: Config, run_dir: Path | None, notify: Callable[[str], None]) -> Bench:
    """Load the target and the texts; statistics come from the cache, or are collected now."""
    target = load_target(config.model, config.device, config.dtype, notify, config.offload, config.memory_gb)
    check_length(target, config.data.seqlen)
    texts = load_splits(config.data, target.tokenizer, notify)
    if run_dir is not None:  # a search, which confirms what it found on other samples
        check_samples(target, config.data, config.search.confirm_seeds)
    data, search = config.data, texts["search"].tokens
    bos = choose_bos(data.bos, target, data.seqlen, search.flatten, notify)
    splits = {split: text.with_bos(bos) for split, text in texts.items()}
    cache = StatisticsCache(target, splits["calibration"], cache_dir() / "statistics", notify)
    return Bench(target, splits, config, cache)
