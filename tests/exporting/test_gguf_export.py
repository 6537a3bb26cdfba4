"""GGUF files of tiny models in the real llama.cpp: the same losses and tokens as in transformers."""

import json

import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from autoprune.errors import UsageError
from autoprune.exporting.llama_cpp import LlamaCpp, engine_problem
from autoprune.exporting.probes import COUNT, probe_texts
from autoprune.models.gguf_export import write_gguf
from autoprune.models.gguf_tokenizer import pre_tokenizer
from tests.exporting.families import FAMILIES, save_family

needs_engine = pytest.mark.skipif(engine_problem() is not None, reason="needs the extra local-llm")
TEXT = "The quick brown fox jumps over 13 lazy dogs, and   then some more: x = y ** 2; don't! " * 3


def written(name, folder, quantisation):
    save_family(name, folder)
    config, tokenizer = AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    file = folder / f"{quantisation}.gguf"
    write_gguf(name, folder, config, tokenizer, {}, quantisation, file)
    return file, tokenizer


def loss_in_transformers(folder, tokens):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        return float(model(torch.tensor([tokens]), labels=torch.tensor([tokens])).loss)


@needs_engine
@pytest.mark.parametrize("name", FAMILIES)
def test_llama_cpp_computes_what_transformers_computes(tmp_path, name):
    file, tokenizer = written(name, tmp_path, "f32")
    tokens = tokenizer(TEXT)["input_ids"][:100]
    special = [token.content for token in tokenizer.added_tokens_decoder.values()]
    texts = probe_texts(special)
    assert len(set(texts)) == COUNT
    with LlamaCpp(file, 128) as runtime:
        assert runtime.loss(tokens) == pytest.approx(loss_in_transformers(tmp_path, tokens), rel=2e-3)
        other = [
            text for text in texts if runtime.tokens(text) != tokenizer(text, add_special_tokens=False)["input_ids"]
        ]
    assert other == []


@needs_engine
@pytest.mark.parametrize(("quantisation", "nats"), [("f16", 0.01), ("bf16", 0.05), ("q8_0", 0.05), ("q4_0", 0.5)])
def test_quantised_files_are_smaller_and_nearly_the_same(tmp_path, quantisation, nats):
    file, tokenizer = written("qwen2 tied", tmp_path, quantisation)
    tokens = tokenizer(TEXT)["input_ids"][:60]
    with LlamaCpp(file, 128) as runtime:
        assert runtime.loss(tokens) == pytest.approx(loss_in_transformers(tmp_path, tokens), abs=nats)
    assert file.stat().st_size < (tmp_path / "model.safetensors").stat().st_size


def test_what_llama_cpp_has_no_form_of_is_refused_before_anything_is_written(tmp_path):
    save_family("gemma3", tmp_path)
    config, tokenizer = AutoConfig.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    into = tmp_path / "a.gguf"
    for settings, complaint in [
        ({"model_type": "gpt_neox"}, "is a gpt_neox, which is not written as GGUF; supported: llama, mistral, qwen2"),
        ({"layer_types": ["full_attention"] * 2}, "attends to all positions in every 6th block"),
        ({"query_pre_attn_scalar": 100}, "scales queries by the size of a head"),
        ({"num_hidden_layers": 1, "layer_types": ["sliding_attention"]}, "holds the tensor model.layers.1"),
    ]:
        changed = AutoConfig.from_pretrained(tmp_path)
        for key, value in settings.items():
            object.__setattr__(changed, key, value)
        with pytest.raises(UsageError, match=complaint):
            write_gguf("it", tmp_path, changed, tokenizer, {}, "f16", into)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Punctuation()
    description = json.loads(tokenizer.backend_tokenizer.to_str())
    with pytest.raises(UsageError, match="normalises texts"):
        pre_tokenizer(description)
    with pytest.raises(UsageError, match="splits texts in a way that is not written as GGUF"):
        pre_tokenizer({**description, "normalizer": None})
    assert config.model_type == "gemma3_text"
    assert not into.exists()
