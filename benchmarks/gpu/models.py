"""Random models and tokens for the checks, made on the spot, since the machine may have no network."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoprune.models.block_storage import cast
from autoprune.models.footprint import outside
from autoprune.models.target import Target

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Size:
    """A Llama, and the calibration text that it is measured on: `windows` of `seqlen` random tokens."""

    hidden: int
    intermediate: int
    blocks: int
    heads: int
    vocabulary: int
    seqlen: int
    windows: int

    def config(self) -> Any:
        from transformers import LlamaConfig

        return LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.blocks,
            num_attention_heads=self.heads,
            num_key_value_heads=self.heads,
            max_position_embeddings=4096,
            initializer_range=0.02 * (4096 / self.hidden) ** 0.5,  # states of the same size in every model
            bos_token_id=0,
            eos_token_id=0,
        )

    def tokens(self) -> Tensor:
        """The windows, int64 [windows, seqlen], on the CPU."""
        return torch.randint(self.vocabulary, (self.windows, self.seqlen), generator=torch.Generator().manual_seed(0))


SMALL = Size(hidden=288, intermediate=768, blocks=3, heads=6, vocabulary=512, seqlen=128, windows=8)
"""Large enough for several swaps in a round and several strips of a Hessian."""
TINY = Size(hidden=64, intermediate=112, blocks=2, heads=4, vocabulary=384, seqlen=32, windows=4)
SEVEN_B = Size(hidden=4096, intermediate=11008, blocks=32, heads=32, vocabulary=32000, seqlen=2048, windows=16)
"""The shapes of LLaMA-2-7B."""


def small_model(size: Size) -> nn.Module:
    """The same random model in float32 on the CPU every time."""
    from transformers import LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = LlamaForCausalLM(size.config())
    return model


def target_of(model: nn.Module, device: torch.device, dtype: torch.dtype, name: str = "small") -> Target:
    """A copy of a model on a device as a target."""
    copied = copy.deepcopy(model)
    cast(copied, dtype)
    return Target(copied.to(device), None, name)


def offloaded_target(model: nn.Module, device: torch.device, name: str) -> Target:
    """A model on the CPU as a target whose blocks stay there, and are loaded to the device one by one."""
    with outside(model):
        model.to(device)
    return Target(model, None, name, device)


def made_on(device: torch.device, size: Size) -> nn.Module:
    """A model of random bfloat16 values, made on the device, where that takes seconds."""
    from transformers import AutoModelForCausalLM

    with torch.device(device):
        model: nn.Module = AutoModelForCausalLM.from_config(size.config(), dtype=torch.bfloat16)
    return model


def save_small(folder: Path, size: Size) -> None:
    """A small model with a byte-level tokenizer of its vocabulary, as a directory that commands can load."""
    from pydoc_data.topics import topics

    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer = ByteLevelBPETokenizer()
    texts = [topics[name] for name in sorted(topics)[:20]]
    tokenizer.train_from_iterator(texts, vocab_size=size.vocabulary, special_tokens=["<eos>"], show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, eos_token="<eos>").save_pretrained(folder)
    small_model(size).save_pretrained(folder)  # type: ignore[operator]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within this context, torch uses so many threads on the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
