"""The structures of a live model: their numbers and sizes, and the matrices that hold them."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn

from autoprune.errors import UsageError
from autoprune.models.blocks import decoder_blocks
from autoprune.models.reduce_families import Family, family_of
from autoprune.pruning.shapes import Shape, Sizes
from autoprune.pruning.structures.spec import BLOCK, CHANNEL, HEAD, Part, Structures

Weight = Callable[[str], Tensor]
Statistic = Callable[[str, str], Tensor]


class Anatomy:
    """Which structures a model has. Raises UsageError for an architecture whose structures cannot be removed.

    Attributes:
        path: name of the list of decoder blocks.
        heads, groups: attention heads, and key-value heads, each of which forms a group with its query heads.
    """

    def __init__(self, model: nn.Module, name: str) -> None:
        self.model, self.name = model, name
        self.family: Family = family_of(model, name)
        config: Any = model.config
        self.path, self.blocks = decoder_blocks(model)
        block = self.blocks[0]
        attention = self.family.attention
        self.heads = config.num_attention_heads if attention else 0
        self.groups = getattr(config, "num_key_value_heads", self.heads) if attention else 0
        self.channels = _inputs(block.get_submodule(self.family.down))
        self.sizes = Sizes(
            dense=Shape(len(self.blocks), self.channels, self.groups),
            channel=self._size(block, self.feeding(CHANNEL), self.family.down, self.channels),
            group=self._size(block, self.feeding(HEAD), attention.output, self.groups) if attention else 0,
            block=sum(parameter.numel() for parameter in block.parameters()),
            allowed=self._allowed(),
        )
        odd = [at for at, other in enumerate(self.blocks) if _shapes(other) != _shapes(block)]
        if odd:
            raise UsageError(f"{name}: its decoder blocks 0 and {odd[0]} differ in shape; uniform ones can be reduced")

    def feeding(self, kind: str) -> tuple[str, ...]:
        """Paths within a block of the matrices whose rows are structures of a kind (channel, head)."""
        attention = self.family.attention
        if kind == CHANNEL:
            return self.family.up
        return (attention.queries, *attention.keys_values) if attention else ()

    def consumer(self, kind: str) -> str:
        """The path within a block of the matrix whose columns are structures of a kind (channel, head)."""
        return self.family.down if kind == CHANNEL else self.family.output

    def layer(self, block: int, path: str) -> str:
        """The name of a layer from its path within a block."""
        return f"{self.path}.{block}.{path}"

    def structures(
        self, kind: str, block: int, weight: Weight, statistic: Statistic, influence: float | None = None
    ) -> Structures:
        """The structures of a kind in one block. `weight(name)` [out, in] and `statistic(name, statistic)` of layers;
        for whole blocks these are all of the block's matrices."""
        count = {CHANNEL: self.channels, HEAD: self.groups}.get(kind, 1)
        parts = [Part(weight(name).float(), axis, _of(statistic, name)) for name, axis in self.parts(kind, block)]
        return Structures(kind, count, parts, influence)

    def parts(self, kind: str, block: int) -> tuple[tuple[str, int], ...]:
        """The names of the layers that hold the structures of a kind in one block, with the axis along which."""
        if kind == BLOCK:
            paths = [(path, 0) for path, module in self.blocks[block].named_modules() if _is_matrix(module)]
        else:
            paths = [(path, 0) for path in self.feeding(kind)] + [(self.consumer(kind), 1)]
        return tuple((self.layer(block, path), axis) for path, axis in paths)

    def _size(self, block: nn.Module, feeding: tuple[str, ...], consumer: str, count: int) -> int:
        """Parameters per structure: rows, with their biases, and columns."""
        rows = sum(parameter.numel() for path in feeding for parameter in block.get_submodule(path).parameters())
        columns: Any = block.get_submodule(consumer).weight
        return int((rows + columns.numel()) // count)

    def _allowed(self) -> frozenset[int]:
        """The numbers of head groups that the configuration accepts; several models demand divisors."""
        return frozenset(groups for groups in range(1, self.groups) if self._accepts(groups))

    def _accepts(self, groups: int) -> bool:
        try:
            self.config(Shape(len(self.blocks), self.channels, groups))
        except UsageError:
            return False
        return True

    def config(self, shape: Shape, kept: tuple[int, ...] | None = None, biases: tuple[str, ...] = ()) -> Any:
        """The configuration of a shape. `kept`: the blocks that are left, by default the first ones; `biases`: keys of
        biases to add. Raises UsageError if the configuration does not accept it."""
        before: Any = self.model.config
        kept = kept if kept is not None else tuple(range(shape.blocks))
        changed = deepcopy(before)
        changed.architectures = [type(self.model).__name__]
        values = changed.to_dict()
        values[self.family.width] = shape.channels
        values[self.family.depth] = shape.blocks
        if shape.blocks < len(self.blocks):
            for key in self.family.per_block:
                if values.get(key) is not None:
                    values[key] = [values[key][block] for block in kept]
            if values.get("max_window_layers") is not None:
                values["max_window_layers"] = sum(block < values["max_window_layers"] for block in kept)
        if self.groups:
            values["head_dim"] = self.head_size
            values["num_attention_heads"] = self.heads // self.groups * shape.groups
            values["num_key_value_heads"] = shape.groups
        values.update(dict.fromkeys(biases, True))
        try:
            config = type(before).from_dict(values)
        except (StrictDataclassError, ValueError, TypeError) as error:
            raise UsageError(f"{self.name}: its configuration does not accept {shape}: {error}") from None
        config._attn_implementation = before._attn_implementation
        return config

    @property
    def head_size(self) -> int:
        """Features of an attention head; 0 where heads cannot be removed."""
        return _inputs(self.blocks[0].get_submodule(self.family.output)) // self.heads if self.groups else 0


def _of(statistic: Statistic, name: str) -> Callable[[str], Tensor]:
    return lambda kind: statistic(name, kind)


def _is_matrix(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim == 2


def _inputs(module: nn.Module) -> int:
    """The inputs of a linear layer, which a Conv1D stores as rows."""
    from transformers.pytorch_utils import Conv1D

    weight: Any = module.weight
    return int(weight.shape[0] if isinstance(module, Conv1D) else weight.shape[1])


def _shapes(block: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(parameter.shape)) for name, parameter in block.named_parameters()]
