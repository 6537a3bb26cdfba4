import shutil
from pathlib import Path

import pytest
import torch

from autoprune.errors import UsageError
from autoprune.models import gguf_target as module
from autoprune.models.gguf_files import sha256_of
from autoprune.models.gguf_target import gguf_target, is_gguf_target
from autoprune.models.target import load_target
from tests.gguf_models import write_gguf


@pytest.fixture
def tiny_gguf(tiny_model: Path, tmp_path: Path) -> Path:
    return write_gguf(tiny_model, tmp_path / "tiny.gguf")


def loaded(name: str):
    return load_target(name, "cpu", "float32")


@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-1.5b", "some/where.gguf", "OTHER.GGUF"])
def test_built_in_names_and_gguf_files_are_converted(name):
    assert is_gguf_target(name)


@pytest.mark.parametrize("name", ["org/model", "a/directory", "gguf", "smollm2"])
def test_other_names_are_not(name):
    assert not is_gguf_target(name)


def test_the_case_of_its_suffix_does_not_matter(tiny_gguf, tiny_target, cache):
    assert loaded(str(tiny_gguf.rename(tiny_gguf.with_suffix(".GGUF")))).fingerprint == tiny_target.fingerprint


def test_a_gguf_file_is_a_target_with_the_very_weights_it_holds(tiny_gguf, tiny_target, cache, logged):
    target = loaded(str(tiny_gguf))
    assert target.fingerprint == tiny_target.fingerprint
    assert any("converting tiny.gguf to safetensors (float32)" in line for line in logged)
    text = "The quick brown fox"
    assert target.tokenizer(text)["input_ids"] == tiny_target.tokenizer(text)["input_ids"]


def test_a_gguf_file_is_converted_once_by_its_content(tiny_gguf, cache, logged):
    loaded(str(tiny_gguf))
    elsewhere = tiny_gguf.parent / "elsewhere"
    elsewhere.mkdir()
    copy = shutil.copy(tiny_gguf, elsewhere)
    logged.clear()
    loaded(str(copy))
    assert logged == []
    [folder] = (cache / "models").glob("tiny-*")
    assert folder.name == f"tiny-{sha256_of(tiny_gguf)[:16]}"


def test_tied_embeddings_stay_tied_in_bfloat16(tiny_model, tmp_path, cache, monkeypatch):
    monkeypatch.setattr(module, "LARGE", 0)
    file = write_gguf(tiny_model, tmp_path / "tied.gguf", tied=True)
    model = loaded(str(file)).model
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    from safetensors import safe_open

    [folder] = (cache / "models").glob("tied-*")
    with safe_open(folder / "model.safetensors", "pt") as saved:
        assert "lm_head.weight" not in saved.keys()  # noqa: SIM118 (no mapping)
        assert saved.get_tensor("model.norm.weight").dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        (b"PK", "is no GGUF file"),
        (b"GGUF" + bytes(64), "is a damaged GGUF file"),
        (b"GGUF\3" + bytes(19), "cannot be loaded"),
    ],
)
def test_what_is_no_gguf_model_is_one_clear_line(tmp_path, cache, content, problem):
    file = tmp_path / "own.gguf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=problem) as caught:
        gguf_target(str(file)) if problem != "cannot be loaded" else loaded(str(file))
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_built_in_model_that_another_user_converted_is_refused_in_one_line(cache, monkeypatch):
    weights = cache / "models" / "smollm2-135m" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert gguf_target("smollm2-135m") == weights.parent
    monkeypatch.setattr(module.os, "access", lambda path, mode: path != weights)  # root may read all
    with pytest.raises(UsageError, match="another user's") as caught:
        gguf_target("smollm2-135m")
    assert str(weights) in str(caught.value)
