"""Trying a function in a sandbox: whether it gives the same result in a fresh process, on small random tensors."""

import tempfile
from pathlib import Path

from autoprune.candidates.functions import pure_function
from autoprune.errors import CandidateFailure
from autoprune.pruning.fields import EXPENSIVE_FIELDS, LAYER_FIELDS
from autoprune.sandbox.base import Sandbox

SIZE = 32
"""Rows and columns of the weights."""
ARGUMENTS = {
    **{field.name: f"layer.{field.name}" for field in (*LAYER_FIELDS, *EXPENSIVE_FIELDS)},
    **dict.fromkeys(("w", "W"), "layer.weight"),
    **dict.fromkeys(("h", "H"), "layer.hessian"),
    **dict.fromkeys(("score", "scores"), "layer.weight.abs()"),
    **dict.fromkeys(("mask", "keep"), "layer.weight > 0"),
    **dict.fromkeys(("kept", "total", "zeros"), "layer.weight.numel() // 2"),
    "layer": "layer",
}
"""Name of a parameter -> what it gets."""
_SCORE = """

def score(layer):
    import torch as _torch

    _result = {name}({arguments})
    _parts = _result if isinstance(_result, (tuple, list)) else [_result]
    _values = _torch.cat([_torch.as_tensor(_part).float().flatten() for _part in _parts])
    return _torch.cat([_values.nan_to_num(), layer.weight.flatten()])[: layer.weight.numel()].view_as(layer.weight)
"""


def try_function(sandbox: Sandbox, source: str, name: str) -> str:
    """Call a function twice, the second time in a fresh process. Returns what came of it, as a sentence.

    Raises CandidateFailure, also if the result is not the same. A function with parameters beside ARGUMENTS that have
    no default is not tried.
    """
    arguments = pure_function(source, name).args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    keywords = [each for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if not default]
    unknown = [each.arg for each in (*required, *keywords) if each.arg not in ARGUMENTS]
    if unknown:
        return f"not tried: nothing is known of its parameter {unknown[0]}"
    words = [ARGUMENTS[each.arg] for each in required] + [f"{each.arg}={ARGUMENTS[each.arg]}" for each in keywords]
    tried = source + _SCORE.format(name=name, arguments=", ".join(words))
    with (
        tempfile.TemporaryDirectory(prefix="autoprune-kit-") as folder,
        sandbox.open(tried, _bundle(Path(folder) / "bundle")) as session,
    ):
        for _ in session.scores(dict.fromkeys(_LAYERS, 0.5)):
            pass
        if session.repeats() is False:
            raise CandidateFailure("check", "not-repeatable", "a fresh process gave another result")
    return "tried in the sandbox: a fresh process gave the same result"


_LAYERS = ("layer.0", "layer.1")


def _bundle(path: Path) -> Path:
    import torch

    from autoprune.models.bundle import widen_bundle, write_bundle
    from autoprune.pruning.layers import LayerInfo

    random = torch.Generator().manual_seed(0)
    layers = [LayerInfo(name, "q", 0, 0.0, (SIZE, SIZE), "block.0") for name in _LAYERS]
    weights = {name: torch.randn(SIZE, SIZE, generator=random) for name in _LAYERS}
    inputs = torch.randn(4 * SIZE, SIZE, generator=random)
    hessian = inputs.T @ inputs / len(inputs)
    statistics = {
        "input_norm": inputs.norm(dim=0),
        "input_mean": inputs.mean(0),
        "input_var": inputs.var(0),
        "hessian_diag": hessian.diagonal().clone(),
    }
    dense = path.with_name("dense")
    write_bundle(
        dense,
        layers,
        weights.__getitem__,
        {name: {key: value.clone() for key, value in statistics.items()} for name in _LAYERS},
    )
    expensive = {"hessian": hessian, "gradient": torch.rand(SIZE, SIZE, generator=random)}
    expensive["output_sensitivity"] = torch.rand(SIZE, generator=random)
    widen_bundle(
        dense, path, {name: [{layer: value.clone() for layer in _LAYERS}] for name, value in expensive.items()}
    )
    return path
