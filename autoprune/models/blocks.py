"""Finding what is prunable in a decoder-only model: its decoder blocks, the linear matrices in them, their roles."""

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
"""Modules that choose experts: tiny, and never pruned."""


class Watch(Protocol):
    """What watches a layer until it is removed."""

    def remove(self) -> None: ...


@dataclass(frozen=True)
class PrunableLayer:
    """One prunable matrix of a live model and how to reach its weight as [out, in]."""

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
        """A view [out, in] on the parameter: writing to it writes to the model."""
        return self.oriented(self.parameter.data)

    def oriented(self, stored: Tensor) -> Tensor:
        """This layer's part [out, in] of something of the parameter's shape, such as its gradient."""
        part = stored if self.expert is None else stored[self.expert]
        return part.T if self.transposed else part


def decoder_blocks(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """The list of blocks of the model's text decoder, and its name.

    Of all outermost ModuleLists whose members hold linear matrices, it is one that belongs to a part with the text
    decoder's configuration: not to a vision or audio tower, whose part has another. Of those it is the one with as many
    blocks as that configuration says, else the longest. Raises UsageError when there is none.
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
    """The part of the model's configuration that describes its text decoder; the whole where it has no parts."""
    config: Any = model.config
    try:
        return config.get_text_config(decoder=True)
    except ValueError:  # it has several such parts
        return config


def _config_above(model: nn.Module, path: str) -> Any:
    """The configuration of the innermost part of the model, with one of its own, that holds a submodule."""
    names = path.split(".")[:-1]
    holders = (model.get_submodule(".".join(names[:count])) for count in range(len(names), -1, -1))
    return next(holder.config for holder in holders if hasattr(holder, "config"))


def prunable_layers(model: nn.Module) -> list[PrunableLayer]:
    """Every linear matrix inside the decoder blocks, in order of the blocks; each expert's matrices are their own.

    Embeddings, the head and the routers of mixtures of experts stay dense.
    """
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
    """The names of layers whose weight belongs to several decoder blocks, as in Zamba."""
    blocks: dict[nn.Parameter, set[int]] = {}
    for layer in layers:
        blocks.setdefault(layer.parameter, set()).add(layer.info.block)
    return {layer.info.name for layer in layers if len(blocks[layer.parameter]) > 1}


def role_of(path: str) -> str:
    """The role of a matrix (contract.ROLES) by its module's name."""
    return next((role for pattern, role in _ROLES if re.search(pattern, path)), "other")


def watch_inputs(layers: Sequence[PrunableLayer], see: Callable[[LayerInfo, Tensor], None]) -> list[Watch]:
    """Call `see(layer, inputs [tokens, in])` whenever a layer is applied; the caller removes the watches."""
    watches: list[Watch] = []
    experts: dict[nn.Module, dict[tuple[str, int], LayerInfo]] = {}
    for layer in layers:
        if layer.expert is None:
            watches.append(layer.module.register_forward_pre_hook(_hook(layer.info, see)))
        else:
            experts.setdefault(layer.module, {})[layer.attribute, layer.expert] = layer.info
    return watches + [WatchedExperts(module, _slice_hook(infos, see)) for module, infos in experts.items()]


def watch_outputs(layers: Sequence[PrunableLayer], see: Callable[[LayerInfo, Tensor], None]) -> list[Watch]:
    """Call `see(layer, gradient [tokens, out])` whenever a backward pass reaches what a layer returned; the caller
    removes the watches."""
    watches: list[Watch] = []
    experts: dict[nn.Module, dict[tuple[str, int], LayerInfo]] = {}
    for layer in layers:
        if layer.expert is None:
            watches.append(layer.module.register_forward_hook(_gradient_hook(layer.info, see)))
        else:
            experts.setdefault(layer.module, {})[layer.attribute, layer.expert] = layer.info

    def of_experts(infos: dict[tuple[str, int], LayerInfo]) -> Callable[[str, int, Tensor, Tensor], None]:
        def after(attribute: str, expert: int, inputs: Tensor, output: Tensor) -> None:
            if (attribute, expert) in infos:
                _on_gradient(infos[attribute, expert], output, see)

        return after

    return watches + [WatchedExperts(module, of_experts(infos)) for module, infos in experts.items()]


def _gradient_hook(info: LayerInfo, see: Callable[[LayerInfo, Tensor], None]) -> Callable[..., None]:
    def after(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        _on_gradient(info, output, see)

    return after


def _on_gradient(info: LayerInfo, output: Tensor, see: Callable[[LayerInfo, Tensor], None]) -> None:
    if output.requires_grad:
        output.register_hook(lambda gradient: see(info, gradient.reshape(-1, gradient.shape[-1])))


def _hook(info: LayerInfo, see: Callable[[LayerInfo, Tensor], None]) -> Callable[..., None]:
    def before(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        see(info, args[0].detach().reshape(-1, args[0].shape[-1]))

    return before


def _slice_hook(
    infos: dict[tuple[str, int], LayerInfo], see: Callable[[LayerInfo, Tensor], None]
) -> Callable[[str, int, Tensor, Tensor], None]:
    def before(attribute: str, expert: int, inputs: Tensor, output: Tensor) -> None:
        if (attribute, expert) in infos:
            see(infos[attribute, expert], inputs)

    return before


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
