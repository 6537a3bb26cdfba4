"""Uniform shapes of a reduced model: how many blocks, head groups and FFN channels are left for a share of parameters.

Every block keeps the same number of channels and of head groups, so that one configuration describes all of them.
"""

from collections.abc import Collection
from dataclasses import dataclass

from autoprune.errors import UsageError
from autoprune.pruning.structures.spec import BLOCK, CHANNEL, HEAD

STRUCTURES: dict[str, tuple[str, ...]] = {
    "width": (CHANNEL,),
    "heads": (HEAD,),
    "depth": (BLOCK,),
    "mix": (CHANNEL, HEAD),
}
"""What `--structure` removes -> the kinds of structures."""


@dataclass(frozen=True)
class Shape:
    """Numbers of blocks, and of channels and head groups in each block."""

    blocks: int
    channels: int
    groups: int


@dataclass(frozen=True)
class Sizes:
    """The dense shape of a model, and the parameters of one channel, one head group and one whole block. `groups` is 0
    if heads cannot be removed; `allowed`: the numbers of groups that the model's configuration can state."""

    dense: Shape
    channel: int
    group: int
    block: int
    allowed: frozenset[int] = frozenset()

    def parameters(self, shape: Shape) -> int:
        """Parameters of the decoder blocks in a shape."""
        channels, groups = self.dense.channels - shape.channels, self.dense.groups - shape.groups
        return shape.blocks * (self.block - channels * self.channel - groups * self.group)

    def removed(self, shape: Shape) -> float:
        """The share of the decoder blocks' parameters that is removed."""
        return 1.0 - self.parameters(shape) / self.parameters(self.dense)


def shape_for(sizes: Sizes, structure: str, share: float, multiple: int = 1) -> Shape:
    """The shape without about `share` of the decoder blocks' parameters, by the nearest number of structures.

    `structure`: one of STRUCTURES. mix removes the same share of head groups, to a whole group, and as many channels as
    the budget has left. `multiple`: of the FFN width. Raises UsageError if there is no such shape.
    """
    if not 0.0 < share < 1.0:
        raise UsageError(f"--params {share:g} is not a share between 0 and 1 of the decoder blocks' parameters")
    if HEAD in STRUCTURES[structure] and not sizes.dense.groups:
        raise UsageError("heads of this model cannot be removed; use --structure width or depth")
    shape = _nearest_shape(sizes, structure, share, multiple)
    most = _nearest_shape(sizes, structure, 1.0, multiple)
    if sizes.removed(most) <= 0:
        raise UsageError(f"--structure {structure} can remove nothing of this model: {_why(sizes, structure)}")
    if share > sizes.removed(most) + _step(sizes, structure):
        raise UsageError(
            f"--structure {structure} can remove at most {sizes.removed(most):.1%} of this model's decoder blocks, "
            f"not {share:.1%}"
        )
    if sizes.removed(shape) <= 0:
        raise UsageError(
            f"--structure {structure} cannot remove as little as {share:.1%} of this model's decoder blocks: one "
            f"structure has {_step(sizes, structure):.1%}"
        )
    return shape


def _nearest_shape(sizes: Sizes, structure: str, share: float, multiple: int) -> Shape:
    dense = sizes.dense
    if structure == "depth":
        blocks = _nearest(range(1, dense.blocks + 1), dense.blocks * (1 - share))
        return Shape(blocks, dense.channels, dense.groups)
    budget = share * sizes.block
    allowed = sizes.allowed | {dense.groups}
    groups, channels = dense.groups, dense.channels
    if structure == "heads":
        groups = _nearest(allowed, dense.groups - budget / sizes.group)
    elif structure == "mix":
        affordable = [count for count in allowed if (dense.groups - count) * sizes.group <= budget]
        groups = _nearest(affordable, dense.groups * (1 - share))
    if CHANNEL in STRUCTURES[structure]:
        budget -= (dense.groups - groups) * sizes.group
        widths = {*range(multiple, dense.channels, multiple), dense.channels}
        channels = _nearest(widths, dense.channels - budget / sizes.channel)
    return Shape(dense.blocks, channels, groups)


def _nearest(counts: Collection[int], wanted: float) -> int:
    """The count nearest to `wanted`, the smaller of two."""
    return min(sorted(counts), key=lambda count: abs(count - wanted))


def _step(sizes: Sizes, structure: str) -> float:
    """The share of the blocks' parameters that one structure has; one in each block for channels and head groups."""
    one = {"depth": sizes.block / sizes.dense.blocks, "heads": sizes.group}.get(structure, sizes.channel)
    return one / sizes.block


def _why(sizes: Sizes, structure: str) -> str:
    if structure == "heads":
        return f"its configuration can state no smaller number than {sizes.dense.groups} head groups"
    return "it has one structure of that kind"
