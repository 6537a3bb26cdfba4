"""One short pass of a target that was just loaded: its outputs are finite, causal, and made by its decoder blocks."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from autoprune.errors import UsageError
from autoprune.pruning.blocks import decoder_blocks

if TYPE_CHECKING:
    from autoprune.pruning.target import Target

TOKENS = 16


@torch.inference_mode()
def check_outputs(target: "Target") -> None:
    """Raises UsageError for weights or outputs that are not finite, for a model that is not causal (an encoder), and
    for one whose decoder blocks a pass over text does not reach."""
    kind = type(target.model).__name__
    path, blocks = decoder_blocks(target.model)
    if any(name.startswith(f"{path}.") for name in target.damaged):
        raise UsageError(not_finite(target))
    tokens = torch.arange(TOKENS, device=target.device).repeat(2, 1) % target.vocabulary
    tokens[1, TOKENS // 2 :] = 0
    logits, idle = _pass(target, tokens, blocks)
    if not logits.isfinite().all():
        raise UsageError(not_finite(target))
    if idle:
        raise UsageError(
            f"{target.name}: a pass over text leaves out {len(idle)} of the {len(blocks)} blocks of {path} in {kind}; "
            "only decoder-only models can be pruned"
        )
    first, second = logits[:, : TOKENS // 2].float()
    # The same sums in the same order, but for experts that take other tokens along.
    tolerance = 1e-4 if target.dtype == torch.float32 else 1e-2
    if float((first - second).abs().max()) > tolerance * float(first.abs().max()):
        raise UsageError(f"{target.name}: {kind} is not causal; only decoder-only models can be pruned")


def not_finite(target: "Target") -> str:
    """Why a target's outputs are not finite, and what to try: its weights, or sums of them beyond its dtype."""
    dtype = str(target.dtype).removeprefix("torch.")
    better = {"float16": "; try dtype bfloat16 or float32", "bfloat16": "; try dtype float32"}.get(dtype, "")
    if not target.damaged:
        reason = better or ": the checkpoint is damaged, or its config.json is that of another model"
        return f"the outputs of {target.name} are not finite in {dtype}, though its weights are{reason}"
    name, found = next(iter(target.damaged.items()))
    more = f" and {len(target.damaged) - 1} more tensors" if len(target.damaged) > 1 else ""
    if better and "NaN" not in target.damaged.values():
        return f"the weights of {target.name} are not finite in {dtype} ({found} in {name}{more}){better}"
    where = f"{target.name} are not finite in {dtype} ({found} in {name}{more})"
    return f"the weights of {where}: the checkpoint is damaged; download or save it again"


def _pass(target: "Target", tokens: Tensor, blocks: nn.ModuleList) -> tuple[Tensor, set[int]]:
    """The logits of a whole pass, and which of the blocks it left out."""
    idle = set(range(len(blocks)))
    watches = [
        block.register_forward_pre_hook(lambda module, inputs, index=index: idle.discard(index))
        for index, block in enumerate(blocks)
    ]
    try:
        return target.model(tokens, use_cache=False).logits, idle
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        kind = type(target.model).__name__
        raise UsageError(f"{target.name}: {kind} cannot be run on text alone ({reason})") from None
    finally:
        for watch in watches:
            watch.remove()
