"""How llama.cpp stores the model types of transformers: names, order of rows, and the keys that describe a model.

Keys and conventions: `convert_hf_to_gguf.py` of https://github.com/ggml-org/llama.cpp; names of tensors come from the
tables of the package `gguf`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter, RopeScalingType
from numpy.typing import NDArray
from torch import Tensor

from autoprune.errors import UsageError

ROPE_FREQUENCIES = "rope_freqs.weight"
SWA_PERIOD = 6
"""Every sixth block of Gemma 3 attends to all positions; llama.cpp has this number in its code."""
NOT_STORED = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")
"""Endings of buffers that older checkpoints hold beside the weights."""

Describe = Callable[[Any, GGUFWriter], None]


@dataclass(frozen=True)
class Architecture:
    """A model type in llama.cpp's form.

    `name`: llama.cpp's. `interleaved`: the two halves of a head's rotary dimensions alternate in the rows of q and k.
    `norm_offset`: added to the weights of norms. `transposed`: endings of matrices that are stored [in, out].
    """

    name: str
    describe: Describe
    interleaved: bool = False
    norm_offset: float = 0.0
    transposed: tuple[str, ...] = ()

    def stored(self, name: str, tensor: Tensor, config: Any) -> Tensor:
        """A tensor of transformers' checkpoint in llama.cpp's layout, float32."""
        tensor = tensor.to(torch.float32)
        if name.endswith(self.transposed):
            tensor = tensor.T
        if self.norm_offset and name.endswith("norm.weight"):
            tensor = tensor + self.norm_offset
        if self.interleaved and ".q_proj." in name:
            tensor = interleaved(tensor, config.num_attention_heads)
        if self.interleaved and ".k_proj." in name:
            tensor = interleaved(tensor, config.num_key_value_heads)
        return tensor.contiguous()

    def shape(self, name: str, shape: list[int]) -> list[int]:
        """The shape of the tensor that `stored` returns."""
        return shape[::-1] if name.endswith(self.transposed) else shape


def interleaved(rows: Tensor, heads: int) -> Tensor:
    """The rows of q or k, [heads * size, ...], where row i of a head's first half is followed by row i of its second
    half: transformers rotates halves, llama.cpp's Llama pairs of neighbours."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def architecture_of(model: str, config: Any) -> Architecture:
    """The architecture of a model. Raises UsageError, naming those that are supported."""
    kind = str(config.model_type)
    if kind not in ARCHITECTURES:
        supported = ", ".join(ARCHITECTURES)
        raise UsageError(f"{model} is a {kind}, which is not written as GGUF; supported: {supported}")
    if getattr(config, "mlp_bias", False) and kind != "llama":
        raise UsageError(f"{model} has biases in its MLPs, which llama.cpp's {kind} does not know")
    return ARCHITECTURES[kind]


def rope_frequencies(config: Any) -> NDArray[np.float32] | None:
    """The divisors of the rotary frequencies, [head size / 2], of a Llama 3.1 model, else None.

    Long wavelengths are divided by `factor`, short ones kept, those between interpolated
    (`_compute_llama3_parameters` of transformers).
    """
    rope = _rope(config)
    if rope.get("rope_type") != "llama3":
        return None
    size = _head_size(config)
    frequencies = 1.0 / rope["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
    wavelengths = 2 * math.pi / frequencies
    factor, low, high = rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"]
    length = rope["original_max_position_embeddings"]
    smooth = (length / wavelengths - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    divisors = torch.where(wavelengths > length / low, torch.full_like(between, factor), between)
    divisors = torch.where(wavelengths < length / high, torch.ones_like(divisors), divisors)
    values: NDArray[np.float32] = divisors.numpy()
    return values


def _rope(config: Any) -> Mapping[str, Any]:
    """The rotary parameters, those of full attention where there are two kinds."""
    parameters = getattr(config, "rope_parameters", None) or {}
    return parameters.get("full_attention", parameters)


def _head_size(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _describe_rotary(config: Any, writer: GGUFWriter) -> None:
    """Raises UsageError for a scaling of the positions that is not written."""
    size = _head_size(config)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    rope = _rope(config)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10000.0)))
    match rope.get("rope_type", "default"):
        case "default" | "llama3":  # the latter has its own tensor
            pass
        case "linear":
            writer.add_rope_scaling_type(RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(rope["factor"])
        case kind:
            raise UsageError(f"its rotary positions are scaled by {kind!r}, which is not written as GGUF")


def _describe_gemma3(config: Any, writer: GGUFWriter) -> None:
    period = [
        "full_attention" if (block + 1) % SWA_PERIOD == 0 else "sliding_attention"
        for block in range(config.num_hidden_layers)
    ]
    if list(config.layer_types) != period:
        raise UsageError(f"llama.cpp's Gemma 3 attends to all positions in every {SWA_PERIOD}th block, this model not")
    if config.query_pre_attn_scalar != _head_size(config):
        raise UsageError("llama.cpp's Gemma 3 scales queries by the size of a head, this model not")
    if config.rope_parameters["sliding_attention"]["rope_theta"] != 10000.0:
        raise UsageError("llama.cpp's Gemma 3 has a base of 10000 for the positions of sliding windows, this model not")
    _describe_rotary(config, writer)
    writer.add_sliding_window(config.sliding_window)


def _describe_gpt2(config: Any, writer: GGUFWriter) -> None:
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_vocab_size(config.vocab_size)


_CONV1D = (".c_attn.weight", ".c_proj.weight", ".c_fc.weight")

ARCHITECTURES = {
    "llama": Architecture("llama", _describe_rotary, interleaved=True),
    "mistral": Architecture("llama", _describe_rotary, interleaved=True),
    "qwen2": Architecture("qwen2", _describe_rotary),
    "qwen3": Architecture("qwen3", _describe_rotary),
    "gemma3_text": Architecture("gemma3", _describe_gemma3, norm_offset=1.0),
    "gpt2": Architecture("gpt2", _describe_gpt2, transposed=_CONV1D),
}
"""By transformers' `model_type`."""
