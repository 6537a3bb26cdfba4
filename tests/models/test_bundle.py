import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from autoprune.errors import AutoPruneError
from autoprune.models.bundle import STATISTICS, Bundle, widen_bundle, write_bundle
from autoprune.pruning.layers import LayerInfo

LAYERS = [
    LayerInfo("layers.0.q", "q", 0, 0.0, (3, 4), "block.0"),
    LayerInfo("layers.1.down", "down", 1, 1.0, (4, 6), "block.1"),
]


def write(path: Path, seed: int = 0) -> None:
    weights, statistics = contents(seed)
    write_bundle(path, LAYERS, weights.__getitem__, statistics)


def contents(seed: int = 0) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    generator = torch.Generator().manual_seed(seed)
    weights = {layer.name: torch.randn(layer.shape, generator=generator).bfloat16() for layer in LAYERS}
    statistics = {
        layer.name: {name: torch.rand(layer.shape[1], generator=generator) for name in STATISTICS} for layer in LAYERS
    }
    return weights, statistics


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_what_was_written_is_read_back(written):
    weights, statistics = contents()
    bundle = Bundle(written)
    assert bundle.layers == LAYERS
    for layer in LAYERS:
        view = bundle.view(layer.name, 0.5)
        assert torch.equal(view.weight, weights[layer.name].float())
        assert view.weight.dtype == torch.float32
        assert (view.name, view.role, view.depth, view.sparsity) == (layer.name, layer.role, layer.depth, 0.5)
        for name in STATISTICS:
            assert torch.equal(getattr(view, name), statistics[layer.name][name])
        assert not hasattr(view, "gradient")
        assert not hasattr(view, "hessian")


def test_writing_to_a_view_changes_no_file(written):
    before = Bundle(written).weight("layers.0.q").clone()
    view = Bundle(written).view("layers.0.q", 0.5)
    view.weight.zero_()
    view.input_norm.zero_()
    assert torch.equal(Bundle(written).weight("layers.0.q"), before)
    assert bool(Bundle(written).statistic("layers.0.q", "input_norm").any())


def test_a_wider_bundle_shares_its_files_with_the_base_and_adds_what_was_asked_for(written, tmp_path):
    gradients = {layer.name: torch.rand(layer.shape) for layer in LAYERS}
    widen_bundle(written, tmp_path / "wide", {"gradient": [gradients]})
    for file in written.iterdir():
        assert file.stat().st_ino == (tmp_path / "wide" / file.name).stat().st_ino
    view = Bundle(tmp_path / "wide").view("layers.1.down", 0.1)
    assert torch.equal(view.gradient, gradients["layers.1.down"])
    assert not hasattr(view, "hessian")


def test_a_part_of_an_on_demand_statistic_is_on_disk_before_the_next_is_asked_for(written, tmp_path):
    hessians = {layer.name: torch.rand(layer.shape[1], layer.shape[1]) for layer in LAYERS}
    files: list[int] = []

    def parts():
        for block in sorted({layer.block for layer in LAYERS}):
            files.append(len(list(tmp_path.rglob("hessian-*"))))
            yield {layer.name: hessians[layer.name] for layer in LAYERS if layer.block == block}

    widen_bundle(written, tmp_path / "wide", {"hessian": parts()})
    assert files == [0, 1]
    bundle = Bundle(tmp_path / "wide")
    for layer in LAYERS:
        assert torch.equal(bundle.view(layer.name, 0.5).hessian, hessians[layer.name])


def test_an_existing_bundle_is_left_as_it_is(written):
    write(written, seed=1)
    assert torch.equal(Bundle(written).weight("layers.0.q"), contents(seed=0)[0]["layers.0.q"])
    assert [path.name for path in written.parent.iterdir()] == ["bundle"]


def test_another_version_is_refused_by_name(written):
    described = json.loads((written / "layers.json").read_text())
    (written / "layers.json").write_text(json.dumps({**described, "version": 7}))
    with pytest.raises(AutoPruneError, match="version 7"):
        Bundle(written)


@pytest.mark.parametrize("broken", ["layers.json", "weights-0.safetensors", "statistics.safetensors"])
def test_a_damaged_bundle_is_one_line(written, broken):
    (written / broken).write_bytes(b"{")
    with pytest.raises(AutoPruneError, match="not a bundle") as caught:
        Bundle(written)
    assert "\n" not in str(caught.value)


def test_a_directory_without_a_bundle_is_one_line(tmp_path):
    with pytest.raises(AutoPruneError, match="not a bundle"):
        Bundle(tmp_path)


def test_a_bundle_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AutoPruneError, match="cannot write"):
        write(tmp_path / "file" / "bundle")


def test_a_bundle_without_weights_is_refused_when_it_is_opened(written):
    (written / "weights-0.safetensors").unlink()
    with pytest.raises(AutoPruneError, match="not a bundle"):
        Bundle(written)
