"""A short forward pass when a target is loaded: how its decoder blocks are called, and which layers are applied.

Its result decides which layers are prunable.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from autoprune.errors import UsageError, first_line
from autoprune.models.blocks import PrunableLayer, decoder_blocks, watch_inputs
from autoprune.models.experts import kind_of
from autoprune.models.passages import Form
from autoprune.pruning.layers import LayerInfo

if TYPE_CHECKING:
    from autoprune.models.target import Target

TOKENS = 16


@dataclass
class FirstPass:
    """The result of a pass over `tokens` [2, TOKENS].

    `finite`, `causal`: properties of the logits; they are causal if no position depends on later ones. `idle`: blocks
    that were not called. `applied`: names of the layers that were called. `forms`: the structure of each block's
    output. `fault`: why the blocks cannot be passed one by one, or None. `walked`: whether `walk_check` has succeeded.
    """

    tokens: Tensor
    finite: bool
    causal: bool
    idle: list[int]
    applied: frozenset[str]
    forms: list[Form]
    fault: str | None
    walked: bool = False


def first_pass(target: "Target", layers: Sequence[PrunableLayer]) -> FirstPass:
    """Pass a few tokens through the model and watch the given layers. Raises UsageError if it needs other inputs."""
    path, listed = decoder_blocks(target.model)
    blocks = list(dict.fromkeys(listed))
    watcher = _Watcher(path, len(blocks))
    tokens = _probe(target.vocabulary)
    with ExitStack() as stack, torch.inference_mode():
        for index, block in enumerate(blocks):
            stack.callback(block.register_forward_pre_hook(partial(watcher.enters, index)).remove)
            stack.callback(block.register_forward_hook(partial(watcher.leaves, index)).remove)
        for watch in watch_inputs(layers, watcher.applies):
            stack.callback(watch.remove)
        logits = _logits(target, tokens)
        causal, finite = _causal(logits), bool(logits.isfinite().all())
    applied = _with_siblings(layers, watcher.applied)
    return FirstPass(tokens, finite, causal, watcher.idle, applied, watcher.forms, watcher.fault)


def _probe(vocabulary: int) -> Tensor:
    """Two fixed rows of random tokens that differ in their second half only."""
    tokens = torch.randint(vocabulary, (2, TOKENS), generator=torch.Generator().manual_seed(0))
    tokens[1, : TOKENS // 2] = tokens[0, : TOKENS // 2]
    return tokens


def _logits(target: "Target", tokens: Tensor) -> Tensor:
    try:
        logits: Tensor = target.model(tokens.to(target.device), use_cache=False).logits
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
        kind = type(target.model).__name__
        raise UsageError(f"{target.name}: {kind} cannot be run on text alone ({first_line(error)})") from None
    return logits


def _causal(logits: Tensor) -> bool:
    first, second = logits[:, : TOKENS // 2].float()
    # Both rows compute the same sums in the same order, except in experts, which batch different tokens.
    tolerance = 1e-4 if logits.dtype == torch.float32 else 1e-2
    return float((first - second).abs().max()) <= tolerance * float(first.abs().max())


class _Watcher:
    """Records the order in which blocks are called, and the block in which each layer is applied."""

    def __init__(self, path: str, blocks: int) -> None:
        self.applied: set[str] = set()
        self._path = path
        self._blocks = blocks
        self._order: list[int] = []
        self._inside: list[int] = []
        self._elsewhere: list[str] = []
        self._forms: dict[int, Form] = {}
        self._unknown: str | None = None

    def enters(self, index: int, module: nn.Module, args: Any) -> None:
        self._order.append(index)
        self._inside.append(index)

    def leaves(self, index: int, module: nn.Module, args: Any, output: Any) -> None:
        self._inside.pop()
        try:
            self._forms[index] = Form(output)
        except TypeError as error:
            self._unknown = str(error)

    def applies(self, info: LayerInfo, inputs: Tensor) -> None:
        self.applied.add(info.name)
        if self._inside[-1:] != [info.block]:
            self._elsewhere.append(info.name)

    @property
    def forms(self) -> list[Form]:
        return [self._forms[index] for index in sorted(self._forms)]

    @property
    def idle(self) -> list[int]:
        return sorted(set(range(self._blocks)) - set(self._order))

    @property
    def fault(self) -> str | None:
        """Why a walk cannot follow the recorded order, or None."""
        repeated = sorted({index for index in self._order if self._order.count(index) > 1})
        if self.idle:
            return f"{self._path}.{self.idle[0]} is not called"
        if repeated:
            return f"{self._path}.{repeated[0]} is called {self._order.count(repeated[0])} times"
        if self._order != sorted(self._order):
            return f"{self._path} are called in the order {', '.join(map(str, self._order))}"
        if self._elsewhere:
            return f"{self._elsewhere[0]} is called from outside of its decoder block"
        return self._unknown


def _with_siblings(layers: Sequence[PrunableLayer], applied: set[str]) -> frozenset[str]:
    """The applied layers, and layers of experts that no token was routed to while another expert of the block applied
    the same matrix."""
    kinds = {kind_of(layer.info) for layer in layers if layer.info.name in applied}
    return frozenset(layer.info.name for layer in layers if kind_of(layer.info) in kinds)
