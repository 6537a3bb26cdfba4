"""Packing and unpacking model directories, bit for bit."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from autoprune.errors import AutoPruneError, UsageError
from autoprune.pruning.packed import FORMAT, pack, unpack


def folder_with(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    path.mkdir(parents=True)
    save_file(tensors, path / "model.safetensors", {"format": "pt"})
    (path / "config.json").write_text('{"model_type": "llama"}')
    (path / "empty.txt").write_text("")
    (path / "templates").mkdir()
    (path / "templates" / "chat.jinja").write_text("hello")
    return path


def sparse(shape: tuple[int, ...], share: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    keep = torch.rand(shape, generator=generator) >= share
    return torch.randn(shape, generator=generator).masked_fill(~keep, 0.0).to(dtype)


def test_every_file_comes_back_byte_for_byte(tmp_path):
    folder = folder_with(
        tmp_path / "model",
        {"a": sparse((64, 96), 0.7), "b": sparse((7, 5), 0.0), "c": sparse((9,), 0.9, torch.bfloat16)},
    )
    pack(folder, tmp_path / "model.packed")
    unpack(tmp_path / "model.packed", tmp_path / "again")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.*"))
    for file in files:
        assert (folder / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn])
@pytest.mark.parametrize("share", [0.5, 0.7])
def test_half_of_the_weights_pruned_makes_a_smaller_file(tmp_path, dtype, share):
    folder = folder_with(tmp_path / "model", {"weight": sparse((512, 512), share, dtype)})
    sizes = pack(folder, tmp_path / "packed")
    assert sizes.packed == (tmp_path / "packed").stat().st_size
    bits = 8 * dtype.itemsize
    assert sizes.packed < sizes.directory * (1 - share + 1 / bits) + 2000
    assert sizes.packed < sizes.directory


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), 1e-45]), max_size=40))
def test_values_keep_their_bits_whatever_they_are(tmp_path_factory, values):
    root = tmp_path_factory.mktemp("bits")
    before = torch.tensor(values, dtype=torch.float32)
    pack(folder_with(root / "model", {"x": before}), root / "packed")
    unpack(root / "packed", root / "again")
    after = load_file(root / "again" / "model.safetensors")["x"]
    assert torch.equal(before.view(torch.int32), after.view(torch.int32))


def test_integers_booleans_and_scalars_come_back(tmp_path):
    tensors = {"i": torch.zeros(100, dtype=torch.int64), "b": torch.tensor([True, False] * 50), "s": torch.tensor(0.0)}
    pack(folder_with(tmp_path / "model", tensors), tmp_path / "packed")
    unpack(tmp_path / "packed", tmp_path / "again")
    after = load_file(tmp_path / "again" / "model.safetensors")
    assert all(
        torch.equal(after[name], tensor) and after[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


def test_a_directory_without_weights_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no \.safetensors"):
        pack(tmp_path, tmp_path / "packed")


def test_what_exists_is_not_overwritten(tmp_path):
    folder = folder_with(tmp_path / "model", {"x": sparse((8, 8), 0.5)})
    pack(folder, tmp_path / "packed")
    with pytest.raises(UsageError, match="exists already"):
        pack(folder, tmp_path / "packed")
    with pytest.raises(UsageError, match="exists already"):
        unpack(tmp_path / "packed", folder)


def test_an_ordinary_safetensors_file_is_no_packed_model(tmp_path):
    folder = folder_with(tmp_path / "model", {"x": sparse((8, 8), 0.5)})
    with pytest.raises(UsageError, match="is not a packed model"):
        unpack(folder / "model.safetensors", tmp_path / "again")
    with pytest.raises(UsageError, match="cannot read the packed model"):
        unpack(folder / "config.json", tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", ""])
def test_a_file_that_leads_out_of_the_directory_is_refused(tmp_path, name):
    index = json.dumps([{"file": name, "bytes": "0", "size": 4}])
    save_file(
        {"0": torch.zeros(4, dtype=torch.uint8)},
        tmp_path / "packed",
        {"format": FORMAT, "version": "1", "index": index},
    )
    with pytest.raises(AutoPruneError, match="leads out of the directory"):
        unpack(tmp_path / "packed", tmp_path / "sub" / "again")
    assert not (tmp_path / "sub" / "outside").exists()


def test_a_bitmap_that_does_not_fit_its_values_is_damage(tmp_path):
    tensor = {"name": "x", "dtype": "float32", "shape": [4, 4], "bitmap": "0", "values": "1"}
    index = json.dumps([{"file": "model.safetensors", "metadata": None, "tensors": [tensor]}])
    tensors = {"0": torch.full((2,), 255, dtype=torch.uint8), "1": torch.ones(3, dtype=torch.int32)}
    save_file(tensors, tmp_path / "packed", {"format": FORMAT, "version": "1", "index": index})
    with pytest.raises(AutoPruneError, match="is damaged"):
        unpack(tmp_path / "packed", tmp_path / "again")
    assert not (tmp_path / "again").exists()
