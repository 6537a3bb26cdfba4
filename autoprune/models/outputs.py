"""Checks on the first pass of a target: its outputs must be finite and causal, and use the decoder blocks."""

from typing import TYPE_CHECKING

from autoprune.errors import UsageError
from autoprune.models.blocks import decoder_blocks

if TYPE_CHECKING:
    from autoprune.models.target import Target


def check_outputs(target: "Target") -> None:
    """Raises UsageError for weights or outputs that are not finite, a model that is not causal, decoder blocks that a
    pass over text does not call, and a model without prunable layers."""
    kind = type(target.model).__name__
    path, blocks = decoder_blocks(target.model)
    if any(name.startswith(f"{path}.") for name in target.damaged):
        raise UsageError(not_finite(target))
    first_pass = target.first_pass
    if not first_pass.finite:
        raise UsageError(not_finite(target))
    if first_pass.idle:
        raise UsageError(
            f"{target.name}: a pass over text leaves out {len(first_pass.idle)} of the {len(blocks)} blocks of {path} "
            f"in {kind}; only decoder-only models can be pruned"
        )
    if not first_pass.causal:
        raise UsageError(f"{target.name}: {kind} is not causal; only decoder-only models can be pruned")
    if not target.prunable:
        raise UsageError(f"{target.name}: nothing in {kind} can be pruned: {'; '.join(target.dense)}")


def not_finite(target: "Target") -> str:
    """Explains outputs that are not finite, by damaged weights or the range of the dtype, and suggests a remedy."""
    dtype = str(target.dtype).removeprefix("torch.")
    better = {"float16": "; try dtype bfloat16 or float32", "bfloat16": "; try dtype float32"}.get(dtype, "")
    if not target.damaged:
        reason = better or ": the checkpoint is damaged, or its config.json is that of another model"
        return f"the outputs of {target.name} are not finite in {dtype}, though its weights are{reason}"
    name, value = next(iter(target.damaged.items()))
    more = f" and {len(target.damaged) - 1} more tensors" if len(target.damaged) > 1 else ""
    if better and "NaN" not in target.damaged.values():
        return f"the weights of {target.name} are not finite in {dtype} ({value} in {name}{more}){better}"
    where = f"{target.name} are not finite in {dtype} ({value} in {name}{more})"
    return f"the weights of {where}: the checkpoint is damaged; download or save it again"
