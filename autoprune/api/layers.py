"""`autoprune.layer_view`: what a candidate's functions get, made from any linear layer, to try them in a notebook."""

from typing import Any

import torch
from torch import Tensor, nn

from autoprune.errors import UsageError
from autoprune.models.statistics import InputMoments
from autoprune.pruning.fields import ROLES
from autoprune.pruning.layers import LayerView
from autoprune.pruning.masks import parse_pattern


def layer_view(
    linear: nn.Linear,
    inputs: Tensor,
    *,
    sparsity: float = 0.5,
    pattern: str = "none",
    name: str = "linear",
    role: str = "other",
    depth: float = 0.0,
    gradient: Tensor | None = None,
    output_sensitivity: Tensor | None = None,
) -> LayerView:
    """The `layer` of a candidate's contract for a linear layer and its inputs, with a full Hessian.

    For code of your own, which then runs in your process: `score(layer_view(linear, inputs))`. `prune` and `compare`
    run a file in the sandbox instead.

    Args:
        linear: a layer with a weight [out, in], a torch.nn.Linear or a Conv1D of transformers, [in, out].
        inputs: what the layer was applied to, floating point, [..., in]: every row of the last dimension is a token.
        gradient: float [out, in], mean of |dL/dW|; `layer.gradient` is missing without it.
        output_sensitivity: float [out], mean square of dL/dy; missing without it, as `gradient`.

    Returns a namespace with the fields of `pruning.fields.LAYER_FIELDS` and `hessian` [in, in]; tensors are float32
    copies on the CPU. Raises UsageError for shapes that do not fit, inputs that are not finite, and unknown words.
    """
    from transformers.pytorch_utils import Conv1D

    if not isinstance(linear, nn.Linear | Conv1D):
        raise UsageError(f"a {type(linear).__name__} is no linear layer: give a torch.nn.Linear")
    stored = linear.weight.detach().float().cpu()
    weight = (stored.T if isinstance(linear, Conv1D) else stored).contiguous().clone()
    rows, columns = weight.shape
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or inputs.dim() == 0:
        raise UsageError("the inputs are to be a floating-point tensor [..., in]")
    if inputs.shape[-1] != columns or not inputs.numel():
        raise UsageError(f"the inputs have shape {list(inputs.shape)}; this layer needs [..., {columns}], not empty")
    if not bool(inputs.isfinite().all()):
        raise UsageError("the inputs are not finite")
    if role not in ROLES:
        raise UsageError(f"role {role!r} is not one of {', '.join(ROLES)}")
    if not 0.0 < sparsity < 1.0:
        raise UsageError(f"sparsity {sparsity:g} is not between 0 and 1")
    parse_pattern(pattern)
    moments = InputMoments(columns, torch.device("cpu"), hessian=True)
    moments.see(inputs.detach().reshape(-1, columns).cpu())
    fields: dict[str, Any] = {"weight": weight, **moments.statistics(name)}
    optional = {"gradient": (gradient, (rows, columns)), "output_sensitivity": (output_sensitivity, (rows,))}
    for field, (tensor, shape) in optional.items():
        if tensor is None:
            continue
        if tuple(tensor.shape) != shape:
            raise UsageError(f"{field} has shape {list(tensor.shape)}; this layer needs {list(shape)}")
        fields[field] = tensor.detach().float().cpu().clone()
    return LayerView(**fields, name=name, role=role, depth=depth, sparsity=sparsity, pattern=pattern)
