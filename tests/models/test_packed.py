"""Packing and unpacking model directories, bit for bit."""

import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from autoprune.errors import AutoPruneError, UsageError
from autoprune.models import packed as packed_module
from autoprune.models.packed import FORMAT, pack, unpack


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
    with pytest.raises(UsageError, match="x has 3 values for 16 weights"):
        unpack(tmp_path / "packed", tmp_path / "again")
    assert not (tmp_path / "again").exists()


TENSORS = {"0": torch.full((2,), 255, dtype=torch.uint8), "1": torch.ones(16, dtype=torch.int32)}
X = {"name": "x", "dtype": "float32", "shape": [4, 4], "bitmap": "0", "values": "1"}


def packed(path: Path, index: object, tensors: dict[str, torch.Tensor] = TENSORS) -> Path:
    text = index if isinstance(index, str) else json.dumps(index)
    save_file(tensors, path, {"format": FORMAT, "version": "1", "index": text})
    return path


def of(*tensors: object) -> list[dict[str, object]]:
    return [{"file": "model.safetensors", "metadata": None, "tensors": list(tensors)}]


def test_a_packed_file_put_together_by_hand_is_unpacked(tmp_path):
    unpack(packed(tmp_path / "packed", of(X)), tmp_path / "again")
    assert torch.equal(
        load_file(tmp_path / "again" / "model.safetensors")["x"].view(torch.int32),
        torch.ones(4, 4, dtype=torch.int32),
    )


@pytest.mark.parametrize(
    "index",
    [
        "",
        "{",
        "null",
        "[" * 100_000,
        '[{"file": ' + "9" * 5000 + "}]",
        {"a": 1},
        [1],
        [{}],
        of(3),
        of({**X, "shape": [-4, -4]}),
        of({**X, "shape": [2**62, 2**62]}),
        of({**X, "shape": [2**47, 2**47]}),
        of({**X, "shape": [16.0]}),
        of({**X, "shape": ["16"]}),
        of({**X, "shape": [4, 4] + [1] * 1000}),
        of({**X, "shape": [15]}),
        of({**X, "shape": [[4, 4]]}),
        of({**X, "dtype": "load"}),
        of({**X, "dtype": "float64"}),
        of({**X, "dtype": "__class__"}),
        of({**X, "dtype": 5}),
        of({**X, "bitmap": "1", "values": "0"}),
        of({**X, "bitmap": "9"}),
        of({**X, "dense": "0"}),
        of({key: value for key, value in X.items() if key != "values"}),
        of(X, {**X, "name": "y"}),
        [*of(X), {"file": "model.safetensors", "bytes": "0", "size": 2}],
        [{"file": "a", "bytes": "0", "size": 2}, {"file": "a/b", "bytes": "1", "size": 2}],
        [{"file": "a", "bytes": "0", "size": -1}, {"file": "b", "bytes": "1", "size": 2}],
        [{"file": "a\0b", "bytes": "0", "size": 2}, {"file": "b", "bytes": "1", "size": 2}],
        [{"file": "a", "bytes": "0", "size": 2**47}, {"file": "b", "bytes": "1", "size": 2}],
        [{"file": 7, "bytes": "0", "size": 2}],
    ],
    ids=lambda index: str(index)[:60],
)
def test_an_index_that_no_model_has_is_one_line_and_nothing_is_written(tmp_path, index):
    with pytest.raises(UsageError, match="cannot be unpacked") as raised:
        unpack(packed(tmp_path / "packed", index), tmp_path / "again")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]


def header(text: str, length: int | None = None, data: bytes = b"") -> bytes:
    return (len(text) if length is None else length).to_bytes(8, "little") + text.encode() + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        header("{}", 2**63),
        header("{}", 2**40),
        header("{"),
        header("[" * 100_000),
        header('{"0": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}'),
        header('{"0": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}', data=bytes(16)),
        header('{"0": {"dtype": "F32", "shape": [4611686018427387904, 8], "data_offsets": [0, 16]}}', data=bytes(16)),
        header('{"0": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}', data=bytes(16)),
        header('{"0": {"dtype": "X9", "shape": [4], "data_offsets": [0, 16]}}', data=bytes(16)),
        header('{"__metadata__": {"format": 3}}'),
        header(json.dumps({"__metadata__": {"format": FORMAT, "version": "1"}})),
        header(json.dumps({"__metadata__": {"format": FORMAT, "version": "2", "index": "[]"}})),
    ],
)
def test_a_header_that_is_none_is_one_line(tmp_path, content):
    (tmp_path / "packed").write_bytes(content)
    with pytest.raises(UsageError) as raised:
        unpack(tmp_path / "packed", tmp_path / "again")
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "packed") in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]


def test_a_packed_model_that_was_cut_off_is_one_line(tmp_path):
    pack(folder_with(tmp_path / "model", {"x": sparse((64, 64), 0.5)}), tmp_path / "packed")
    whole = (tmp_path / "packed").read_bytes()
    for length in (4, 9, len(whole) // 2, len(whole) - 1):
        (tmp_path / "packed").write_bytes(whole[:length])
        with pytest.raises(UsageError, match="cannot read the packed model"):
            unpack(tmp_path / "packed", tmp_path / "again")


def test_what_stands_for_far_more_than_itself_is_written_only_if_asked_for(tmp_path, monkeypatch):
    zeros = {"x": torch.zeros(4096, 64)}
    pack(folder_with(tmp_path / "model", zeros), tmp_path / "packed")
    monkeypatch.setattr(packed_module, "LEAST", 1000)
    monkeypatch.setattr(packed_module, "MOST_TIMES", 10)
    with pytest.raises(UsageError, match=r"stands for 0\.0 GB, 3\d times its own size; .* allow it by --max-gb 1"):
        unpack(tmp_path / "packed", tmp_path / "again")
    with pytest.raises(UsageError, match="--max-gb"):
        unpack(tmp_path / "packed", tmp_path / "again", max_gb=0.0001)
    unpack(tmp_path / "packed", tmp_path / "again", max_gb=1)
    assert torch.equal(load_file(tmp_path / "again" / "model.safetensors")["x"], zeros["x"])


def test_what_does_not_fit_on_the_disk_is_not_begun(tmp_path, monkeypatch):
    pack(folder_with(tmp_path / "model", {"x": sparse((64, 64), 0.5)}), tmp_path / "packed")
    monkeypatch.setattr(packed_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with pytest.raises(UsageError, match="GB are free"):
        unpack(tmp_path / "packed", tmp_path / "again")


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_packed_and_unpacked_files_have_the_mode_that_the_umask_gives(tmp_path, umask, mode):
    folder = folder_with(tmp_path / "model", {"x": sparse((64, 64), 0.5)})
    before = os.umask(umask)
    try:
        pack(folder, tmp_path / "packed")
        unpack(tmp_path / "packed", tmp_path / "again")
    finally:
        os.umask(before)
    files = [tmp_path / "packed", *(path for path in (tmp_path / "again").rglob("*") if path.is_file())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {mode}
    folders = [tmp_path / "again", tmp_path / "again" / "templates"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o777 & ~umask}
