"""What is kept of the GGUF file that a model came from."""

import shutil

import pytest
import torch
from gguf import GGUFReader
from transformers import AutoConfig, AutoTokenizer

from autoprune.errors import UsageError
from autoprune.models.gguf_export import write_gguf
from autoprune.models.gguf_origin import ORIGIN_FILE, keep_origin, origin_dtype, read_origin
from autoprune.models.loading import model_bytes, source_dtype
from tests.gguf_models import CHAT_TEMPLATE
from tests.gguf_models import write_gguf as plain_gguf


@pytest.fixture
def quantised(tiny_model, tmp_path):
    """A GGUF file of the tiny model in Q8_0."""
    config, tokenizer = AutoConfig.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)
    write_gguf("tiny", tiny_model, config, tokenizer, {}, "q8_0", tmp_path / "small.gguf")
    return tmp_path / "small.gguf"


def test_facts_and_tokenizer_are_carried_through_a_directory_into_the_next_file(tiny_model, tmp_path):
    first = plain_gguf(tiny_model, tmp_path / "first.gguf")
    folder = shutil.copytree(tiny_model, tmp_path / "pruned")
    keep_origin(str(first), folder)
    assert not list(folder.glob("*.gguf"))
    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    carried = read_origin(str(folder))
    assert write_gguf("pruned", folder, config, tokenizer, carried, "f16", tmp_path / "next.gguf")
    before, after = (GGUFReader(path).fields for path in (first, tmp_path / "next.gguf"))
    kept = [key for key in before if key.startswith("tokenizer.")] + ["general.name"]
    assert all(after[key].contents() == before[key].contents() for key in kept)
    assert after["tokenizer.chat_template"].contents() == CHAT_TEMPLATE
    assert after["general.file_type"].contents() == 1


def test_a_tokenizer_of_another_size_is_not_carried(tiny_model, tmp_path):
    carried = read_origin(str(plain_gguf(tiny_model, tmp_path / "first.gguf")))
    tokens = carried["tokenizer.ggml.tokens"]
    tokens.value.append("one more")
    config, tokenizer = AutoConfig.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)
    assert not write_gguf("it", tiny_model, config, tokenizer, carried, "f16", tmp_path / "next.gguf")


def test_the_dtype_of_a_quantised_file_is_bfloat16_wherever_it_is_kept(quantised, tiny_model, tmp_path, cache):
    assert origin_dtype(str(quantised)) == source_dtype(str(quantised)) == torch.bfloat16
    keep_origin(str(quantised), tmp_path)
    keep_origin(str(tmp_path), (again := tmp_path / "again").mkdir() or again)
    assert origin_dtype(str(again)) == torch.bfloat16
    assert model_bytes(str(quantised)) == quantised.stat().st_size


def test_other_models_have_the_dtype_of_their_files(tiny_model, tmp_path, cache):
    assert origin_dtype(str(tiny_model)) is None
    assert source_dtype(str(tiny_model)) == torch.float32
    assert source_dtype(str(plain_gguf(tiny_model, tmp_path / "plain.gguf"))) == torch.float32
    keep_origin(str(tiny_model), tmp_path)
    assert not (tmp_path / ORIGIN_FILE).exists()


def test_damaged_metadata_is_one_line(tmp_path):
    (tmp_path / ORIGIN_FILE).write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(UsageError, match="is a damaged GGUF file") as raised:
        read_origin(str(tmp_path))
    assert "\n" not in str(raised.value)
