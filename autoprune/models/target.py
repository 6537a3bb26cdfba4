"""The target: the causal language model being pruned, loaded once, masked and restored exactly."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial, wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoprune.cache import writable_cache
from autoprune.errors import AutoPruneError, UsageError
from autoprune.models.block_storage import BlockStorage, InMemory, OnDisk, cast
from autoprune.models.blocks import PrunableLayer, decoder_blocks, prunable_layers, shared_layers
from autoprune.models.checkpoint import check_stored, some
from autoprune.models.dense import stay_dense
from autoprune.models.first_pass import first_pass
from autoprune.models.footprint import Footprint, blocks_on_disk, choose_offload, free_room, outside
from autoprune.models.identity import checksum
from autoprune.models.loading import BALANCED, DTYPES, choose_device, empty_model, faster_dtype, load_model
from autoprune.models.outputs import check_outputs
from autoprune.pruning.layers import LayerEdit, LayerInfo
from autoprune.pruning.masks import count_zeros

logger = logging.getLogger(__name__)
MakeStorage = Callable[[nn.Module, list[PrunableLayer], torch.device], BlockStorage]


class Edits:
    """Edits the live weights of a target's layers by name. Edits of different layers are independent."""

    def __init__(self, storage: BlockStorage, before: Callable[[str], None] = lambda name: None) -> None:
        self._storage = storage
        self._before = before

    def weight(self, name: str, weight: Tensor) -> None:
        """Set a layer's live weight [out, in]."""
        self._before(name)
        self._storage.replace(name, weight)

    def apply(self, edit: LayerEdit) -> None:
        """Apply a layer's mask, or its new weight if it has one."""
        if edit.weight is None:
            self.mask(edit.name, edit.mask)
        else:
            self.weight(edit.name, edit.weight)

    def mask(self, name: str, mask: Tensor) -> None:
        """Set a layer's live weight to its pristine weight where the mask [out, in] is True, else to +0.0."""
        self._before(name)
        self._storage.mask(name, mask)


class Target:
    """A model in evaluation mode with its tokenizer, whose pristine weights can be restored.

    `storage` decides where the decoder blocks are kept; offloaded blocks are on `device` only while they compute
    (`visiting`). Pristine weights in memory are copied at the first edit of a layer.

    Attributes:
        fingerprint: hash over all that a forward pass depends on (`identity.checksum`).
        damaged: names of tensors that are not finite -> "NaN" or "infinity".
        blank: names of matrices that hold only zeros.
        prunable: the layers of the blocks without those that stay dense.
        dense: a message on each kind of layer that stays dense.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        name: str,
        device: torch.device | None = None,
        storage: MakeStorage = InMemory,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        all_layers = prunable_layers(model)
        parameter = next(model.parameters())
        self.dtype, self.device = parameter.dtype, device or parameter.device
        self._storage = storage(model, all_layers, self.device)
        check_stored(name, model, self._storage.stored)
        self._visitors: set[int] = set()
        self.damaged: dict[str, str] = {}
        self.blank: list[str] = []
        self.fingerprint = checksum(model, self._storage.stored, self._look)
        embeddings: Any = model.get_input_embeddings()  # type: ignore[operator]
        self._token_check = embeddings.register_forward_pre_hook(self._check_tokens)
        if self._storage.away:
            for index, block in enumerate(decoder_blocks(model)[1]):
                block.forward = self._visits(index, block.forward)
        shared = shared_layers(all_layers)
        self.first_pass = first_pass(self, [layer for layer in all_layers if layer.info.name not in shared])
        self.prunable = [layer for layer in all_layers if layer.info.name in self.first_pass.applied]
        self.layers: list[LayerInfo] = [layer.info for layer in self.prunable]
        self.dense = stay_dense(model, all_layers, self.first_pass.applied)

    @property
    def weights(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def vocabulary(self) -> int:
        """Size of the vocabulary: the rows of the embedding, or of the head if it has fewer."""
        model: Any = self.model
        matrices = (model.get_input_embeddings(), model.get_output_embeddings())
        return min(int(matrix.weight.shape[0]) for matrix in matrices if matrix is not None)

    @property
    def offloaded(self) -> bool:
        """Whether the blocks are kept outside the device."""
        return self._storage.away

    @property
    def mapped(self) -> bool:
        """Whether the blocks are kept on disk."""
        return self._storage.mapped

    @contextmanager
    def visiting(self, block: int) -> Iterator[None]:
        """Within this context, a decoder block is on the device with its live weights. May be nested."""
        if not self._storage.away or block in self._visitors:
            yield
            return
        self._storage.load(block)
        self._visitors.add(block)
        try:
            yield
        finally:
            self._visitors.discard(block)
            self._storage.offload(block)

    def need_whole(self, what: str) -> None:
        """Raises UsageError, naming `what`, if the blocks are offloaded."""
        if self.offloaded:
            raise UsageError(f"{what} needs all of {self.name} on its device: use offload=none, or do without")

    def weight(self, name: str) -> Tensor:
        """The pristine dense weight [out, in] of a layer, read-only."""
        return self._storage.pristine(name)

    def live_weight(self, name: str) -> Tensor:
        """The weight [out, in] of a layer that the model currently computes with."""
        return self._storage.live(name)

    def zeros(self, name: str) -> int:
        """Number of zeros in a layer's live weight."""
        return count_zeros(self.live_weight(name))

    @property
    def for_good(self) -> Edits:
        return Edits(self._storage)

    @contextmanager
    def edited(self) -> Iterator[Edits]:
        """Edits within this context; at its end the pristine weights are restored."""
        edits, touched = self._undoable()
        try:
            yield edits
        finally:
            for name in touched:
                self._storage.restore(name)

    @contextmanager
    def edited_for_good(self) -> Iterator[Edits]:
        """Edits that stay, unless an exception ends this context: then the pristine weights are restored."""
        edits, touched = self._undoable()
        try:
            yield edits
        except BaseException:
            for name in touched:
                self._storage.restore(name)
            raise
        self._storage.forget_pristine()

    def _undoable(self) -> tuple[Edits, set[str]]:
        """Edits before which the pristine weight is kept, and the names of the layers that they have changed."""
        touched: set[str] = set()

        def keep(name: str) -> None:
            self._storage.keep(name)
            touched.add(name)

        return Edits(self._storage, keep), touched

    def verify(self) -> None:
        """Raises AutoPruneError unless every parameter has the value with which the target was loaded."""
        now = checksum(self.model, self._storage.stored)
        if now != self.fingerprint:
            raise AutoPruneError(
                f"the weights of {self.name} changed while they were measured: {now}, not {self.fingerprint}"
            )

    def release(self) -> None:
        """Remove the hook that checks tokens, after the last measurement."""
        self._token_check.remove()

    def _check_tokens(self, embedding: nn.Module, args: tuple[Tensor, ...]) -> None:
        """Refuse tokens outside the vocabulary, for example from lm-eval: on a GPU they make the device unusable."""
        if not args or not args[0].numel():
            return
        low, high = map(int, args[0].aminmax())
        if low < 0 or high >= self.vocabulary:
            raise UsageError(
                f"token {low if low < 0 else high} is no row of the embeddings of {self.name}, of {self.vocabulary} "
                "tokens: its tokenizer is another model's, or tokens were added to it without resizing the embeddings"
            )

    def _look(self, name: str, values: Tensor) -> None:
        if not values.is_floating_point() or not values.numel():
            return
        low, high = values.aminmax()  # NaN if any value is
        if not (low.isfinite() and high.isfinite()):
            self.damaged[name] = "NaN" if values.isnan().any() else "infinity"
        elif low == high == 0 and values.dim() > 1:
            self.blank.append(name)

    def _visits(self, block: int, forward: Callable[..., Any]) -> Callable[..., Any]:
        """A block's forward pass that first loads the block to the device."""

        @wraps(forward)
        def visit(*args: Any, **kwargs: Any) -> Any:
            with self.visiting(block):
                return forward(*args, **kwargs)

        return visit


@contextmanager
def live_target(model: nn.Module, tokenizer: Any) -> Iterator[Target]:
    """A model of the caller's as a target, on its own device and in its own dtype. At the end, the hook is removed, and
    training mode and `requires_grad` of each parameter are as before. Raises UsageError like `load_target`.
    """
    training = {module: module.training for module in model.modules()}
    learning = {parameter: parameter.requires_grad for parameter in model.parameters()}
    name = str(getattr(model.config, "_name_or_path", "") or type(model).__name__)
    target = None
    try:
        target = Target(model, tokenizer, name)
        _check(target)
        yield target
    finally:
        if target is not None:
            target.release()
        for module, mode in training.items():
            module.training = mode
        for parameter, wanted in learning.items():
            parameter.requires_grad_(wanted)


def load_target(
    model: str, device: str = "auto", dtype: str = "auto", offload: str = "auto", memory_gb: float | None = None
) -> Target:
    """Load a target from a directory, a hub id, a GGUF file, or a built-in name.

    `device` auto: the first GPU if there is one; balanced: all GPUs. `dtype` auto: the faster one by a measurement on
    this machine. `offload`: where blocks are kept (`footprint.OFFLOADS`); auto: on the device if they fit, with host
    memory limited to `memory_gb` GiB. Code that comes with a model is never run. Raises UsageError for a model or
    device that cannot be used, AutoPruneError when the model does not fit even block by block.
    """
    target = _loaded(model, choose_device(device), device == BALANCED, dtype, offload, memory_gb)
    _check(target)
    return target


def _check(target: Target) -> None:
    """Raises UsageError for outputs that cannot be used; logs what the user should know."""
    check_outputs(target)
    if target.blank:  # as in a file that was allocated but not completely downloaded
        logger.warning(f"{target.name}: {some(target.blank)} hold zeros alone; is the checkpoint complete?")
    for line in target.dense:
        logger.info(line)


def _loaded(
    model: str, device: torch.device, balanced: bool, dtype: str, offload: str, memory_gb: float | None
) -> Target:
    empty = empty_model(model)
    size = Footprint(empty)
    kind = faster_dtype(size.matrices, device) if dtype == "auto" else DTYPES[dtype]
    if balanced:
        return Target(*load_model(model, kind, BALANCED), model)
    place = choose_offload(offload, size, kind, device, free_room(device, memory_gb), model)
    if place == "disk":
        folder = tempfile.TemporaryDirectory(prefix="offload-", dir=writable_cache())  # /tmp may be memory
        loaded, tokenizer = load_model(model, kind, blocks_on_disk(empty, device), Path(folder.name))
        return Target(loaded, tokenizer, model, device, partial(OnDisk, folder=folder, dtype=kind))
    loaded, tokenizer = load_model(model, kind)
    cast(loaded, kind)
    with outside(loaded) if place == "memory" else nullcontext():
        loaded.to(device)
    return Target(loaded, tokenizer, model, device if place == "memory" else None)
