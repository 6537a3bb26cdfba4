"""Tiny random models of the architectures that are exported, with tokenizers of their kinds."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedTokenizerFast

from autoprune.models.gguf_tokenizer import PRE_TOKENIZERS

VOCABULARY = 384
ROWS = 416
"""Of the embeddings: some models have more than tokens."""
SIZE = {
    "vocab_size": ROWS,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FAMILIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "llama tied": ("llama", {"tie_word_embeddings": True}, "smollm"),
    "llama biased": ("llama", {"attention_bias": True, "mlp_bias": True}, "gpt-2"),
    "llama of wide heads": ("llama", {"head_dim": 32, "rope_parameters": LLAMA3}, "llama-bpe"),
    "mistral": ("mistral", {}, "tekken"),
    "mistral of pieces": ("mistral", {}, "pieces"),
    "qwen2 tied": ("qwen2", {"tie_word_embeddings": True}, "qwen2"),
    "qwen3": ("qwen3", {"head_dim": 16}, "qwen2"),
    "gemma3": ("gemma3_text", {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 64}, "pieces"),
    "gpt2": ("gpt2", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}, "gpt-2"),
}
"""Name -> transformers' model type, its settings, and its tokenizer."""


def save_family(name: str, into: Path) -> Path:
    """Save a model with random biases and norms, which a mistake in a tensor's place or order would change."""
    kind, settings, tokenizer = FAMILIES[name]
    torch.manual_seed(0)
    config = CONFIG_MAPPING[kind](**{**({} if kind == "gpt2" else SIZE), "vocab_size": ROWS, **settings})
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(into)
    save_tokenizer_of(tokenizer, into)
    return into


def save_tokenizer_of(kind: str, into: Path) -> None:
    """A tokenizer of VOCABULARY tokens: `pieces`, over a SentencePiece vocabulary, or byte-level with a known split."""
    from pydoc_data.topics import topics

    texts = [topics[name] for name in sorted(topics)[:20]]
    special = ["<s>", "</s>", "<unk>"]
    if kind == "pieces":
        made = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
        made.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
        special += [f"<0x{byte:02X}>" for byte in range(256)]
        alphabet: list[str] = []
    else:
        splits = next(splits for splits, name in PRE_TOKENIZERS.items() if name == kind)
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.Sequence([_step(split) for split in splits] + _bytes_behind(splits))
        made.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    if kind == "pieces":
        made = _of_pieces(made)
    PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>" if kind == "pieces" else None
    ).save_pretrained(into)


def _step(split: str) -> Any:
    if split == "bytes":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if split == "digits":
        return pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Split(Regex(split), behavior="isolated")


def _bytes_behind(splits: tuple[str, ...]) -> list[Any]:
    return [] if "bytes" in splits else [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]


def _of_pieces(trained: Tokenizer) -> Tokenizer:
    """The same vocabulary with the bytes as plain tokens, and without a split, as Llama 2 has it."""
    import json

    description = json.loads(trained.to_str())
    description["added_tokens"] = [token for token in description["added_tokens"] if not _is_byte(token["content"])]
    description["pre_tokenizer"] = None
    return Tokenizer.from_str(json.dumps(description))


def _is_byte(token: str) -> bool:
    return token.startswith("<0x")
