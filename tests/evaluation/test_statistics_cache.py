import json
import shutil

import pytest
import torch

from autoprune.errors import CandidateFailure
from autoprune.evaluation import statistics_cache
from autoprune.evaluation.measurement_spec import MeasurementSpec
from autoprune.evaluation.recipe import Recipe
from autoprune.models.bundle import Bundle
from autoprune.models.footprint import Room
from autoprune.models.gradients import collect_output_sensitivity


def test_statistics_are_collected_once_and_found_again_by_content(open_tiny_bench, cache):
    first = open_tiny_bench()
    made = first.bundle()
    stamp = (made / "statistics.safetensors").stat().st_mtime_ns
    assert open_tiny_bench().bundle() == made
    assert (made / "statistics.safetensors").stat().st_mtime_ns == stamp
    assert len(list((cache / "statistics").iterdir())) == 1


def test_other_calibration_text_or_dtype_is_another_entry(open_tiny_bench):
    data = {"seqlen": 48, "calibration_samples": 3, "search_windows": 4, "report_windows": 3}
    paths = {
        opened.bundle() for opened in (open_tiny_bench(), open_tiny_bench(data=data), open_tiny_bench(dtype="bfloat16"))
    }
    assert len(paths) == 3


def test_on_demand_statistics_are_in_the_wider_bundle_only(bench):
    assert not hasattr(bench.readable().view(bench.layers[0].name, 0.5), "hessian")
    wider = Bundle(bench.bundle(("gradient", "hessian")))
    view = wider.view(bench.layers[0].name, 0.5)
    assert view.gradient.shape == view.weight.shape
    assert torch.allclose(view.hessian.diagonal(), view.hessian_diag, rtol=1e-4)
    assert not hasattr(Bundle(bench.bundle(("hessian",))).view(bench.layers[0].name, 0.5), "gradient")


def test_output_sensitivities_of_all_layers_come_from_all_calibration_windows(bench):
    expected = collect_output_sensitivity(bench.target, bench.windows("calibration").tokens)
    wider = Bundle(bench.bundle(("output_sensitivity",)))
    for layer in bench.layers:
        assert torch.equal(wider.view(layer.name, 0.5).output_sensitivity, expected[layer.name])


@pytest.mark.parametrize("extra", [(), ("hessian",)])
def test_a_bundle_says_the_weights_that_the_target_holds(bench, extra):
    bundle = Bundle(bench.bundle(extra))
    for layer in bench.layers:
        assert torch.equal(bundle.weight(layer.name), bench.target.weight(layer.name))


def test_what_is_wanted_together_is_not_collected_again(bench, logged):
    alone = bench.bundle(("gradient",))
    both = Bundle(bench.bundle(("gradient", "hessian")))
    assert [line.split()[1] for line in logged] == ["gradient", "hessian"]
    layer = bench.layers[0].name
    assert torch.equal(both.view(layer, 0.5).gradient, Bundle(alone).view(layer, 0.5).gradient)
    assert both.view(layer, 0.5).hessian.shape[0] == bench.layers[0].shape[1]


def test_a_gradient_that_there_is_no_memory_for_is_a_candidates_failure(open_tiny_bench, monkeypatch):
    monkeypatch.setattr(statistics_cache, "free_room", lambda device: Room(host=1000))
    with pytest.raises(CandidateFailure, match=r"the gradient needs .* of memory beside the model"):
        open_tiny_bench().bundle(("gradient",))


def test_the_same_weights_under_another_configuration_are_another_entry_in_both_caches(tiny_model, open_tiny_bench):
    other = shutil.copytree(tiny_model, tiny_model.parent / "other-epsilon")
    tree = json.loads((other / "config.json").read_text("utf-8"))
    (other / "config.json").write_text(json.dumps({**tree, "rms_norm_eps": 0.5}), "utf-8")
    elsewhere = shutil.copytree(tiny_model, tiny_model.parent / "elsewhere")
    benches = [open_tiny_bench(model=str(folder)) for folder in (tiny_model, elsewhere, other)]
    bundles = [bench.bundle() for bench in benches]
    keys = [MeasurementSpec.of(bench, "a", "search", Recipe(0.5)).key() for bench in benches]
    assert bundles[0] == bundles[1] != bundles[2]
    assert keys[0] == keys[1] != keys[2]
    layer = benches[0].layers[-1].name
    norms = [Bundle(bundle).statistic(layer, "input_norm") for bundle in bundles]
    assert not torch.equal(norms[0], norms[2])
