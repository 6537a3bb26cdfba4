"""Where channels and heads are in the decoder blocks of each supported architecture, and how its configuration states
their numbers.

Only what a plain `from_pretrained` can load is supported: one FFN width, one number of heads, fewer blocks.
"""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from autoprune.errors import UsageError
from autoprune.models.blocks import text_config


@dataclass(frozen=True)
class Attention:
    """Paths of the projections within a block. q has `num_attention_heads` heads, k and v `num_key_value_heads`."""

    queries: str = "self_attn.q_proj"
    keys_values: tuple[str, ...] = ("self_attn.k_proj", "self_attn.v_proj")
    output: str = "self_attn.o_proj"


@dataclass(frozen=True)
class Family:
    """One architecture. `up`: paths of the matrices whose rows are channels; `down`: that whose columns are.

    `attention`: None if the configuration cannot state another number of heads of the same size. `width`, `depth`: keys
    of the configuration. `mlp_bias`, `attention_bias`: keys that give the down and the output projection a bias.
    `per_block`: keys of lists with an item per block.
    """

    up: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    down: str = "mlp.down_proj"
    attention: Attention | None = field(default_factory=Attention)
    output: str = "self_attn.o_proj"
    width: str = "intermediate_size"
    depth: str = "num_hidden_layers"
    mlp_bias: str | None = None
    attention_bias: str | None = None
    per_block: tuple[str, ...] = ("layer_types", "no_rope_layers")

    def bias_key(self, path: str) -> str | None:
        """The key that gives a projection (`down` or the output projection) a bias, or None."""
        return self.mlp_bias if path == self.down else self.attention_bias


FAMILIES: dict[str, Family] = {
    "arcee": Family(up=("mlp.up_proj",), mlp_bias="mlp_bias", attention_bias="attention_bias"),
    "gemma": Family(attention_bias="attention_bias"),
    "gemma2": Family(attention_bias="attention_bias"),
    "gemma3_text": Family(attention_bias="attention_bias"),
    # The size of a GPT-2 head is not stated: it is the hidden size over the number of heads.
    "gpt2": Family(
        up=("mlp.c_fc",), down="mlp.c_proj", attention=None, output="attn.c_proj", width="n_inner", depth="n_layer"
    ),
    "llama": Family(mlp_bias="mlp_bias", attention_bias="attention_bias"),
    "mistral": Family(),
    "qwen2": Family(),
    "qwen3": Family(attention_bias="attention_bias"),
    "smollm3": Family(mlp_bias="mlp_bias", attention_bias="attention_bias"),
}
"""By the model type of the configuration."""


def family_of(model: nn.Module, name: str) -> Family:
    """The family of a model. Raises UsageError, naming the model, if its structures cannot be removed."""
    config: Any = model.config
    kind = config.model_type
    if text_config(model) is not config or kind not in FAMILIES:
        raise UsageError(
            f"{name}: structures of {type(model).__name__} cannot be removed; that is supported for the model types "
            f"{', '.join(FAMILIES)}"
        )
    return FAMILIES[kind]
