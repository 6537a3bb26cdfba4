"""Writing a Llama model's directory as a GGUF file, unquantised: a real one in miniature."""

import json
import struct
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFWriter, TokenType
from transformers import AutoTokenizer, LlamaForCausalLM

CHAT_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def empty_gguf(into: Path) -> Path:
    """A file with a whole header and nothing else."""
    into.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    return into


def write_gguf(
    model: Path, into: Path, chat_template: str | None = CHAT_TEMPLATE, tied: bool = False, leave_out: str | None = None
) -> Path:
    """`tied`: without an output matrix, as models with tied embeddings are stored. `leave_out`: a parameter."""
    llama = LlamaForCausalLM.from_pretrained(model)
    config, tokenizer = llama.config, AutoTokenizer.from_pretrained(model)
    writer = GGUFWriter(into, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    bpe = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token == "<eos>" else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in bpe["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for name, weight in llama.state_dict().items():
        stored = _name(name)
        if name != leave_out and not (tied and stored == "output.weight"):
            writer.add_tensor(stored, _rotary_order(name, weight, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return into


def _name(name: str) -> str:
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if not name.startswith("model.layers."):
        return whole.get(name, "output.weight")
    block, _, rest = name.removeprefix("model.layers.").partition(".")
    return f"blk.{block}.{NAMES[rest.removesuffix('.weight')]}.weight"


def _rotary_order(name: str, weight: torch.Tensor, config: "LlamaForCausalLM.config_class") -> np.ndarray:
    """GGUF keeps the two halves of each head's rotary dimensions interleaved."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for role, count in heads.items():
        if role in name:
            halves = weight.reshape(count, 2, weight.shape[0] // count // 2, weight.shape[1])
            weight = halves.swapaxes(1, 2).reshape(weight.shape)
    return weight.contiguous().numpy()
