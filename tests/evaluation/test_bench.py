import math

import pytest
import torch

from autoprune.errors import CandidateFailure
from autoprune.evaluation.evaluator import dense, measure
from autoprune.evaluation.ladder import Ladder
from autoprune.evaluation.layer_zeros import allocated
from autoprune.evaluation.prune import Method
from autoprune.evaluation.recipe import Recipe
from autoprune.evaluation.signature import agreement
from autoprune.evaluation.statistics_cache import StatisticsCache
from autoprune.evaluation.texts import Windows
from autoprune.models.identity import checksum
from tests.evaluation.given_scores import GivenScores, baseline, measure_random, random_scores


@pytest.mark.parametrize("sparsity", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("group", ["row", "matrix"])
def test_the_zeros_on_the_measured_weights_are_exactly_what_was_asked(bench, sparsity, group):
    live: list[int] = []
    measured_losses = bench.losses

    def watched_losses(split, **options):
        live.append(sum(int((bench.target.live_weight(layer.name) == 0).sum()) for layer in bench.layers))
        return measured_losses(split, **options)

    bench.losses = watched_losses
    algorithm = GivenScores(random_scores(bench), group)
    measured = measure(bench, algorithm, Recipe(sparsity, "sdsa"), "search")
    assert live == [round(sparsity * bench.target.weights)] == [measured.zeros]
    assert measured.sparsity == pytest.approx(sparsity, abs=1 / bench.target.weights)


def test_the_pristine_weights_are_back_after_every_measurement(bench):
    before = dense(bench, "search")
    baseline(bench, "wanda", "uniform", 0.7, "search")
    assert checksum(bench.target.model) == bench.target.fingerprint
    assert dense(bench, "search").window_losses == before.window_losses


def test_wanda_equals_a_plain_implementation_of_its_paper(bench):
    measured = baseline(bench, "wanda", "uniform", 0.5, "search")
    target, windows = bench.target, bench.windows("calibration").tokens
    norms: dict[str, torch.Tensor] = {}
    hooks = [
        layer.module.register_forward_pre_hook(
            lambda module, args, name=layer.info.name: norms.__setitem__(
                name, norms.get(name, 0) + args[0].double().pow(2).sum((0, 1))
            )
        )
        for layer in target.prunable
    ]
    for window in windows:
        target.model(window.unsqueeze(0))
    for hook in hooks:
        hook.remove()
    for layer in target.layers:
        weight = target.live_weight(layer.name)
        score = weight.double().abs() * norms[layer.name].sqrt()
        for row in range(layer.shape[0]):
            weight[row, score[row].argsort()[: layer.shape[1] // 2]] = 0
    assert measured.perplexity == pytest.approx(dense(bench, "search").perplexity, rel=1e-6)


def test_a_measurement_says_what_it_is_of(bench):
    measured = baseline(bench, "magnitude", "uniform", 0.5, "report")
    assert (measured.split, measured.seqlen, measured.windows) == ("report", 48, 3)
    assert len(measured.window_losses) == 3
    assert measured.perplexity == pytest.approx(math.exp(sum(measured.window_losses) / 3))
    assert [layer.name for layer in measured.layers] == [layer.name for layer in bench.layers]
    assert all(0 < layer.relative_error < 1 for layer in measured.layers)
    assert set(measured.seconds) == {"score", "mask", "eval"}


def test_the_layer_error_is_the_share_of_expected_output_energy_that_was_pruned(bench):
    scores = random_scores(bench)
    measured = measure_random(bench, group="matrix")
    zeros = allocated(bench, bench.units_by("block"), "uniform", 0.5).zeros
    name, score = list(scores.items())[2]
    view = bench.readable().view(name, 0.5)
    order = score.flatten().argsort()[: zeros[name]]
    energy = (view.weight**2 * view.hessian_diag).flatten()
    assert measured.layers[2].relative_error == pytest.approx(float(energy[order].sum() / energy.sum()), rel=1e-4)


def test_signatures_tell_how_far_two_candidates_agree(bench):
    one, other = (measure_random(bench, seed).signature for seed in (0, 1))
    assert agreement(one, one) == 1.0
    assert agreement(one, other) == pytest.approx(0.5, abs=0.05)
    assert agreement(one, other[:-1]) == 0.0


def test_a_refused_signature_is_never_measured(bench):
    def refuse(signature: bytes) -> None:
        raise CandidateFailure("check", "duplicate", "seen before")

    bench.losses = None  # measuring would fail
    with pytest.raises(CandidateFailure, match="seen before"):
        measure_random(bench, ladder=Ladder(accept=refuse))


def test_layers_may_be_scored_in_any_order(bench):
    scores = random_scores(bench)
    one, other = (
        measure(bench, GivenScores(scores, order=list(scores)[::step]), Recipe(0.5), "search").model_dump()
        | {"seconds": {}}
        for step in (1, -1)
    )
    assert one["layer_errors"] == pytest.approx(other.pop("layer_errors")[::-1])
    assert {key: one[key] for key in other} == other


@pytest.mark.parametrize("kept", [-1, 0])
def test_missing_layers_are_refused(bench, kept):
    scores = random_scores(bench)
    few = GivenScores(scores, order=list(scores)[:kept])
    with pytest.raises(CandidateFailure) as caught:
        measure(bench, few, Recipe(0.5), "search")
    assert (caught.value.stage, caught.value.reason) == ("check", "protocol")
    assert checksum(bench.target.model) == bench.target.fingerprint


def test_a_perplexity_that_is_not_finite_is_a_failure_and_the_weights_come_back(bench):
    with torch.no_grad():
        bench.target.model.lm_head.weight.fill_(math.inf)
    broken = checksum(bench.target.model)
    with pytest.raises(CandidateFailure) as caught:
        baseline(bench, "wanda", "uniform", 0.5, "search")
    assert (caught.value.stage, caught.value.reason) == ("measure", "not-finite")
    assert checksum(bench.target.model) == broken


@pytest.mark.parametrize("unit", ["block", "module", "projection"])
@pytest.mark.parametrize("allocation", ["uniform", "sdsa", "sdsa-paper", "owl", "dlp", "alphapruning", "atp", "lsa"])
def test_every_static_allocation_is_exact_for_every_kind_of_unit(open_tiny_bench, unit, allocation):
    bench = open_tiny_bench(allocation={"unit": unit})
    zeros = allocated(bench, bench.units_by(unit), allocation, 0.55).zeros
    assert sum(zeros.values()) == round(0.55 * bench.target.weights)
    assert len(bench.units) == {"block": 3, "module": 21, "projection": 21}[unit]


def test_raw_densities_of_a_candidate_are_projected_onto_the_exact_budget(bench):
    zeros = bench.units_by("block").projected([0.9, 0.1, 5.0], 0.6)
    assert sum(zeros.values()) == round(0.6 * bench.target.weights)
    told = bench.units_by("block").sparsity(zeros)
    first, second, third = (told[layer.name] for layer in bench.layers[::7])
    assert third < first < second


@pytest.mark.parametrize("raw", [[0.5, 0.5], [math.nan, 0.5, 0.5], [math.inf, 0.5, 0.5], []])
def test_raw_densities_that_cannot_be_projected_fail_in_their_stage(bench, raw):
    with pytest.raises(CandidateFailure) as caught:
        bench.units_by("block").projected(raw, 0.6)
    assert caught.value.stage == "allocate"


def test_fingerprints_name_model_texts_and_versions(bench, open_tiny_bench):
    facts = bench.fingerprints()
    assert facts["model"] == bench.target.fingerprint
    assert facts["dtype"] == "float32"
    assert set(facts["texts"]) == {"calibration", "search", "report"}
    other = open_tiny_bench(data={"seqlen": 32, "calibration_samples": 4, "search_windows": 4, "report_windows": 3})
    assert other.fingerprints()["texts"] != facts["texts"]
    assert other.fingerprints()["model"] == facts["model"]


def test_a_model_that_was_pruned_before_is_pruned_further_to_the_exact_count(open_tiny_bench, tiny_model, tmp_path):
    first = open_tiny_bench()
    with torch.no_grad():
        for layer in first.layers[:7]:
            weight = first.target.live_weight(layer.name)
            weight[torch.rand(weight.shape, generator=torch.Generator().manual_seed(1)) < 0.8] = 0
    first.target.model.save_pretrained(tmp_path / "pruned")
    first.target.tokenizer.save_pretrained(tmp_path / "pruned")
    again = open_tiny_bench(model=str(tmp_path / "pruned"))
    measured = baseline(again, "wanda", "sdsa", 0.5, "search")
    assert measured.zeros == round(0.5 * again.target.weights)


def test_another_calibration_sample_is_another_measurement_of_the_same_target(bench):
    first, second = bench.calibrated(0), bench.calibrated(1)
    texts = [each.fingerprints()["texts"] for each in (bench, first, second)]
    assert texts[0] == texts[1]
    assert texts[0]["calibration"] != texts[2]["calibration"]
    assert {split: texts[0][split] for split in ("search", "report")} == {
        split: texts[2][split] for split in ("search", "report")
    }
    assert second.target is bench.target
    losses = [baseline(each, "wanda", "uniform", 0.5, "report").window_losses for each in (bench, first, second)]
    assert losses[0] == losses[1] != losses[2]


def test_the_same_tokens_in_windows_of_another_length_have_statistics_of_their_own(tiny_target, tmp_path):
    tokens = torch.arange(64) % 50
    windows = [Windows("calibration", "text", tokens.view(count, -1), "same") for count in (2, 4)]
    assert len({StatisticsCache(tiny_target, each, tmp_path).bundle() for each in windows}) == 2


def test_a_target_on_disk_measures_what_one_in_memory_does(open_tiny_bench):
    whole, mapped = open_tiny_bench(), open_tiny_bench(offload="disk")
    assert (whole.target.mapped, mapped.target.mapped) == (False, True)
    assert mapped.fingerprints() == whole.fingerprints()
    one, other = (baseline(each, "wanda", "sdsa", 0.6, "search") for each in (whole, mapped))
    assert other.window_losses == one.window_losses
    assert (other.layers, other.signature, other.zeros) == (one.layers, one.signature, one.zeros)
    mapped.target.verify()


def test_looks_see_the_same_losses_of_a_target_on_disk(open_tiny_bench):
    seen: list[list[list[float]]] = []
    for bench in (open_tiny_bench(), open_tiny_bench(offload="disk")):
        looks: list[list[float]] = []
        bench.losses("search", looks=(2, 4), check=lambda losses, looks=looks: looks.append(list(losses)))
        seen.append(looks)
    assert seen[0] == seen[1]
    assert [len(losses) for losses in seen[0]] == [2, 4]


def test_a_gradient_of_a_target_on_disk_is_a_candidates_failure(open_tiny_bench):
    mapped = open_tiny_bench(offload="disk")
    with pytest.raises(CandidateFailure, match="the gradient needs all of the target"):
        mapped.bundle(("gradient",))
    assert mapped.readable(("hessian",)).view(mapped.layers[0].name, 0.5).hessian.shape == (32, 32)


@pytest.mark.parametrize("score", ["wanda", "magnitude"])
def test_swaps_keep_the_zeros_of_every_row_and_lower_the_error_of_the_outputs(bench, score, monkeypatch):
    masks, refined = {}, Method.mask

    def watched(self, weight, score, zeros, group, hessian):
        before = refined(Method(), weight, score, zeros, group, hessian)
        after = refined(self, weight, score, zeros, group, hessian)
        masks[hessian.args[0]] = before, after
        return after

    monkeypatch.setattr(Method, "mask", watched)
    measured = baseline(bench, score, "sdsa", 0.6, "search", refinement="swaps")
    assert measured.zeros == round(0.6 * bench.target.weights)
    hessians = bench.readable(("hessian",))
    lower = 0
    for name, (before, after) in masks.items():
        assert torch.equal(before.sum(1), after.sum(1))
        errors = [
            float(((pruned @ hessians.hessian(name)) * pruned).sum())
            for pruned in (bench.target.weight(name) * ~mask for mask in (before, after))
        ]
        assert errors[1] <= errors[0] * (1 + 1e-4)
        lower += errors[1] < 0.99 * errors[0]
    assert lower == len(bench.layers)


def test_without_a_refinement_masks_are_the_scores_own(bench):
    plain, none = (
        baseline(bench, "wanda", "uniform", 0.5, "search"),
        baseline(bench, "wanda", "uniform", 0.5, "search", refinement="none"),
    )
    swapped = baseline(bench, "wanda", "uniform", 0.5, "search", refinement="swaps")
    assert plain.signature == none.signature != swapped.signature
    assert plain.zeros == swapped.zeros


@pytest.mark.parametrize("pattern", ["2:4", "4:8"])
def test_swaps_under_a_pattern_keep_it_also_where_weights_were_zero(holed_bench, pattern):
    plain, swapped = (
        baseline(holed_bench, "wanda", "uniform", 0.5, "search", pattern=pattern, refinement=each)
        for each in ("none", "swaps")
    )
    assert plain.zeros == swapped.zeros
    assert plain.signature != swapped.signature
    assert baseline(holed_bench, "wanda", "uniform", 0.5, "search", refinement="swaps").sparsity == pytest.approx(
        0.5, abs=1e-4
    )
