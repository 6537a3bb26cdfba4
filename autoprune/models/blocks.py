"""Finding the decoder blocks of a model, their linear matrices, and the roles of these."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from autoprune.errors import UsageError
from autoprune.models.experts import WatchedExperts, expert_matrices
from autoprune.pruning.layers import LayerInfo

_ROLES = (
    (r"(q_proj|query|q_lin)$", "q"),
    (r"(k_proj|key|k_lin)$", "k"),
    (r"(v_proj|value|v_lin)$", "v"),
    (r"(qkv_proj|query_key_value|c_attn|Wqkv|qkv)$", "qkv"),
    (r"(o_proj|out_proj|out_lin|(attn|attention)\.(c_proj|dense)|self_attention\.dense)$", "o"),
    (r"(gate_up_proj)$", "gate_up"),
    (r"(gate_proj|w1)$", "gate"),
    (r"(up_proj|w3|fc1|c_fc|dense_h_to_4h|wi)$", "up"),
    (r"(down_proj|w2|fc2|mlp\.c_proj|dense_4h_to_h|wo)$", "down"),
)

_ROUTER = re.compile(r"(^|\.)(gate|router|shared_expert_gate)(\.|$)")
"""Modules that select experts, which are small and never pruned."""


See = Callable[[LayerInfo, Tensor], None]


class Watch(Protocol):
    """A hook that can be removed."""

    def remove(self) -> None: ...


@dataclass(frozen=True)
class PrunableLayer:
    """One linear matrix of a live model, with access to its weight as [out, in]."""

    info: LayerInfo
    module: nn.Module
    attribute: str = "weight"
    expert: int | None = None
    transposed: bool = False

    @property
    def parameter(self) -> nn.Parameter:
        """The parameter as the model stores it: [out, in], [in, out] if transposed, or [experts, ., .]."""
        weight = getattr(self.module, self.attribute)
        assert isinstance(weight, nn.Parameter)
        return weight

    @property
    def weight(self) -> Tensor:
        """A writable view [out, in] of the parameter."""
        return self.oriented(self.parameter.data)

    def oriented(self, stored: Tensor) -> Tensor:
        """This layer's part [out, in] of a tensor of the parameter's shape, for example its gradient."""
        part = stored if self.expert is None else stored[self.expert]
        return part.T if self.transposed else part


def decoder_blocks(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The name and the list of the blocks of the model's text decoder.

    Candidates are the outermost ModuleLists whose members hold linear matrices, in parts of the model that have the
    text decoder's configuration, unlike vision or audio towers. Among these, the list with the configured number of
    blocks is returned, else the longest. Raises UsageError if there is none.
    """
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) > 0 and all(_holds_matrices(block) for block in module)
    ]
    if not lists:
        raise UsageError(
            f"no decoder blocks were found in {type(model).__name__}; only decoder-only models can be pruned"
        )
    text = text_config(model)
    outermost = [item for item in lists if not any(item[0].startswith(f"{name}.") for name, _ in lists)]
    of_text = [item for item in outermost if type(_config_above(model, item[0])) is type(text)] or outermost
    depth = getattr(text, "num_hidden_layers", None)
    return max(of_text, key=lambda item: (len(item[1]) == depth, len(item[1])))


def text_config(model: nn.Module) -> Any:
    """The configuration of the model's text decoder; the whole configuration if it is ambiguous."""
    config: Any = model.config
    try:
        return config.get_text_config(decoder=True)
    except ValueError:
        return config


def _config_above(model: nn.Module, path: str) -> Any:
    """The configuration of the innermost module above a path that has its own."""
    names = path.split(".")[:-1]
    holders = (model.get_submodule(".".join(names[:count])) for count in range(len(names), -1, -1))
    return next(holder.config for holder in holders if hasattr(holder, "config"))


def prunable_layers(model: nn.Module) -> list[PrunableLayer]:
    """Every linear matrix in the decoder blocks, in order; each expert has its own. Routers of experts are excluded."""
    name, blocks = decoder_blocks(model)
    last = max(len(blocks) - 1, 1)

    def info(index: int, path: str, shape: tuple[int, int]) -> LayerInfo:
        return LayerInfo(f"{name}.{index}.{path}", role_of(path), index, index / last, shape, f"block.{index}")

    layers = []
    for index, block in enumerate(blocks):
        for path, module in _linears(block):
            layers.append(
                PrunableLayer(info(index, path, _shape(module)), module, transposed=isinstance(module, Conv1D))
            )
        for part in expert_matrices(block):
            layer = info(index, part.path, part.shape)
            layers.append(PrunableLayer(layer, part.module, part.attribute, part.expert, part.transposed))
    return layers


def shared_layers(layers: Sequence[PrunableLayer]) -> set[str]:
    """The names of layers whose weight is shared by several decoder blocks, as in Zamba."""
    blocks: dict[nn.Parameter, set[int]] = {}
    for layer in layers:
        blocks.setdefault(layer.parameter, set()).add(layer.info.block)
    return {layer.info.name for layer in layers if len(blocks[layer.parameter]) > 1}


def role_of(path: str) -> str:
    """The role of a matrix (one of contract.ROLES), by the name of its module."""
    return next((role for pattern, role in _ROLES if re.search(pattern, path)), "other")


def watch_inputs(layers: Sequence[PrunableLayer], see: See) -> list[Watch]:
    """Call `see(layer, inputs [tokens, in])` whenever a layer is applied, until the returned watches are removed."""

    def watch(layer: PrunableLayer) -> Watch:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            see(layer.info, args[0].detach().reshape(-1, args[0].shape[-1]))

        return layer.module.register_forward_pre_hook(hook)

    return _watch(layers, watch, lambda info, inputs, output: see(info, inputs))


def watch_outputs(layers: Sequence[PrunableLayer], see: See) -> list[Watch]:
    """Call `see(layer, gradient [tokens, out])` whenever a backward pass reaches the output of a layer, until the
    returned watches are removed."""

    def on_output(info: LayerInfo, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(lambda gradient: see(info, gradient.reshape(-1, gradient.shape[-1])))

    def watch(layer: PrunableLayer) -> Watch:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            on_output(layer.info, output)

        return layer.module.register_forward_hook(hook)

    return _watch(layers, watch, lambda info, inputs, output: on_output(info, output))


def _watch(
    layers: Sequence[PrunableLayer],
    watch: Callable[[PrunableLayer], Watch],
    see_expert: Callable[[LayerInfo, Tensor, Tensor], None],
) -> list[Watch]:
    """Watch modules by `watch`, and slices of experts by `see_expert(layer, inputs, output)`."""
    experts: dict[nn.Module, dict[tuple[str, int], LayerInfo]] = {}
    for layer in layers:
        if layer.expert is not None:
            experts.setdefault(layer.module, {})[layer.attribute, layer.expert] = layer.info

    def of_module(infos: dict[tuple[str, int], LayerInfo]) -> Callable[[str, int, Tensor, Tensor], None]:
        def see(attribute: str, expert: int, inputs: Tensor, output: Tensor) -> None:
            if (attribute, expert) in infos:
                see_expert(infos[attribute, expert], inputs, output)

        return see

    modules = [watch(layer) for layer in layers if layer.expert is None]
    return modules + [WatchedExperts(module, of_module(infos)) for module, infos in experts.items()]


def _linears(block: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return (
        (path, module)
        for path, module in block.named_modules()
        if path and isinstance(module, nn.Linear | Conv1D) and not _ROUTER.search(path)
    )


def _holds_matrices(block: nn.Module) -> bool:
    return any(True for _ in _linears(block)) or any(True for _ in expert_matrices(block))


def _shape(module: nn.Module) -> tuple[int, int]:
    rows, columns = module.weight.shape  # type: ignore[misc]
    return (columns, rows) if isinstance(module, Conv1D) else (rows, columns)
