"""The base model of a card is the one on the hub from which the pruned model was made, or is left out."""

import hashlib

import pytest
from gguf import GGUFWriter

from autoprune.downloads import Part
from autoprune.models.base_model import hub_id
from autoprune.models.gguf_files import KNOWN, KnownFile
from autoprune.models.gguf_origin import keep_origin
from autoprune.models.saving import model_card


def gguf_file(path, **metadata):
    writer = GGUFWriter(path, "llama")
    for key, value in metadata.items():
        writer.add_string(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    return path


def test_a_built_in_model_and_a_name_on_the_hub_have_their_id():
    assert hub_id("smollm2-135m") == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert hub_id("qwen2.5-coder-1.5b") == "Qwen/Qwen2.5-Coder-1.5B-Instruct"
    assert hub_id("org/name-7B") == "org/name-7B"
    assert hub_id("random") is None


def test_a_directory_has_none_even_if_it_looks_like_a_name_on_the_hub(tmp_path, monkeypatch):
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub_id("org/name") is None


def test_a_directory_in_the_cache_of_the_hub_has_the_id_in_its_path(tmp_path):
    snapshot = tmp_path / "models--org--name-7B" / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    assert hub_id(str(snapshot)) == "org/name-7B"
    (tmp_path / "linked").symlink_to(snapshot)
    assert hub_id(str(tmp_path / "linked")) == "org/name-7B"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"general.source.huggingface.repository": "org/name"}, "org/name"),
        ({"general.source.repo_url": "https://huggingface.co/org/name"}, "org/name"),
        ({"general.source.url": "https://example.org/org/name"}, None),
        ({"general.base_model.0.repo_url": "https://huggingface.co/org/ancestor"}, None),
        ({}, None),
    ],
)
def test_a_gguf_file_and_what_was_made_from_it_have_the_source_that_its_metadata_name(tmp_path, metadata, expected):
    file = gguf_file(tmp_path / "it.gguf", **metadata)
    assert hub_id(str(file)) == expected
    (tmp_path / "pruned").mkdir()
    keep_origin(str(file), tmp_path / "pruned")
    assert hub_id(str(tmp_path / "pruned")) == expected


def test_a_copy_of_a_built_in_file_has_the_id_of_its_model(tmp_path, monkeypatch):
    file, other = (gguf_file(tmp_path / f"{name}.gguf", **{"general.name": name}) for name in ("copy", "next"))
    content = file.read_bytes()
    part = Part("package", "1", "member", len(content))
    known = KnownFile("title", "org/known", "known.gguf", "here", (part,), hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(KNOWN, "known", known)
    assert hub_id(str(file)) == "org/known"
    assert other.stat().st_size == len(content)
    assert hub_id(str(other)) is None


def test_the_card_has_the_base_model_in_its_metadata():
    facts = {"sparsity": 0.5, "zeros": 5, "weights": 10}
    assert "\nbase_model: HuggingFaceTB/SmolLM2-135M-Instruct\n" in model_card("smollm2-135m", facts)
    assert "base_model:" not in model_card("/home/ann/model", facts)
