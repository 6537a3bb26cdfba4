"""An algorithm as a modifier of llm-compressor 0.14: `oneshot(model, recipe=[AlgorithmModifier(...)], dataset=...)`.

Statistics are collected by llm-compressor's calibration hooks, and masks are made by the code of `autoprune prune`.
"""

from contextlib import ExitStack
from typing import Any

import torch
from pydantic import PrivateAttr, field_validator
from torch import Tensor, nn

from autoprune.config_sections import SandboxSettings, Share
from autoprune.config_values import SandboxEngine
from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.algorithms import NOT_REPEATABLE, Algorithm, Opened, session_edits
from autoprune.measuring.algorithms import find_algorithm, open_algorithms
from autoprune.models.blocks import PrunableLayer, prunable_layers
from autoprune.models.observed import Observed
from autoprune.models.statistics import InputMoments
from autoprune.pruning.masks import make_mask, masked_weight

try:
    from compressed_tensors.utils import align_module_device, get_execution_device, update_offload_parameter
    from llmcompressor.core import State
    from llmcompressor.modifiers.pruning.sparsegpt.sgpt_base import SparsityModifierBase
except ModuleNotFoundError as missing:
    raise ImportError(f"this needs llm-compressor: pip install llmcompressor ({missing})") from None


class AlgorithmModifier(SparsityModifierBase):
    """Prunes the linear layers of the decoder blocks by an algorithm of AutoPrune.

    Args:
        algorithm: a published score, a discovery, a file that ends in .py, or RUN:CANDIDATE, as for `autoprune prune`.
            All but published scores run in the sandbox. A candidate's `refine` and `update` are applied.
        sparsity: share of zeros in each layer, or one for each of the `targets`. A candidate's `allocate` is not used.
        mask_structure: "0:0", or N:M as in llm-compressor: N zeros among every M neighbours along the inputs.
        targets, ignore: as in llm-compressor; layers outside of decoder blocks, such as the head, are never pruned.
        sandbox: auto, docker or local.

    The sequential pipeline, which is llm-compressor's default, collects a block's statistics behind the pruned blocks
    (`--statistics sequential`), the basic one those of the dense model. Raises UsageError for an algorithm that reads
    gradients, which neither collects; AutoPruneError if the algorithm fails.
    """

    algorithm: str = "wanda"
    sparsity: Share | list[Share] = 0.5
    sandbox: SandboxEngine = "auto"

    _stack: ExitStack = PrivateAttr(default_factory=ExitStack)
    _opened: Any = PrivateAttr(default=None)
    _needs_hessian: bool = PrivateAttr(default=False)
    _layers: dict[nn.Module, PrunableLayer] = PrivateAttr(default_factory=dict)
    _moments: dict[nn.Module, InputMoments] = PrivateAttr(default_factory=dict)

    @field_validator("algorithm")
    @classmethod
    def _known(cls, name: str) -> str:
        find_algorithm(name)
        return name

    def on_initialize(self, state: State, **kwargs: Any) -> bool:
        """Find the layers and open the algorithm's sandbox, if it needs one."""
        self._layers = {layer.module: layer for layer in prunable_layers(state.model) if layer.expert is None}
        settings = SandboxSettings(engine=self.sandbox)
        (algorithm,) = self._stack.enter_context(open_algorithms([self.algorithm], settings))
        self._check(algorithm)
        self._needs_hessian = "hessian" in algorithm.needs
        self._opened = Opened(algorithm)
        return bool(super().on_initialize(state, **kwargs))

    def calibrate_module(self, module: nn.Module, args: tuple[Tensor, ...], _output: Tensor) -> None:
        """Add the inputs of a layer to its statistics."""
        if module not in self._layers:
            return
        inputs = args[0].detach().reshape(-1, args[0].shape[-1])
        if module not in self._moments:
            device = get_execution_device(module)
            self._moments[module] = InputMoments(inputs.shape[-1], device, self._needs_hessian)
        self._moments[module].see(inputs)

    def compress_modules(self) -> None:
        """Prune the layers that have statistics: one decoder block, or all in the basic pipeline."""
        modules = list(self._moments)
        if not modules:
            return
        with ExitStack() as aligned, torch.no_grad():
            for module in modules:
                aligned.enter_context(align_module_device(module))
            self._prune({self._layers[module].info.name: module for module in modules})
        self._moments.clear()

    def on_finalize(self, state: State, **kwargs: Any) -> bool:
        """Remove the hooks and close the sandbox."""
        self.remove_hooks()
        self._stack.close()
        if self._opened.repeats() is False:
            raise AutoPruneError(f"{self.algorithm}: {NOT_REPEATABLE}")
        return True

    def _check(self, algorithm: Algorithm) -> None:
        """Raises UsageError for what the calibration of llm-compressor does not give, and for structures."""
        if algorithm.ranks:
            self._stack.close()
            raise UsageError(f"{self.algorithm} ranks structures, not single weights")
        if gradients := sorted({*algorithm.needs} - {"hessian"}):
            self._stack.close()
            raise UsageError(
                f"{self.algorithm} reads {' and '.join(gradients)} of backward passes, and llm-compressor only makes "
                "forward passes; use autoprune prune"
            )

    def _prune(self, modules: dict[str, nn.Module]) -> None:
        layers = {name: self._layers[module] for name, module in modules.items()}
        sparsity = {name: float(self._module_sparsities[module]) for name, module in modules.items()}
        pattern = (self._prune_m - self._prune_n, self._prune_m) if self._prune_n else None
        if pattern is not None:
            sparsity = dict.fromkeys(sparsity, 1.0 - pattern[0] / pattern[1])
        statistics = {name: self._moments[module].statistics(name) for name, module in modules.items()}
        block = Observed(list(layers.values()), statistics)

        def mask(name: str, score: Tensor) -> Tensor:
            weight = layers[name].weight
            return make_mask(score, weight, round(sparsity[name] * weight.numel()), session.group, pattern).cpu()

        written = "none" if pattern is None else "{}:{}".format(*pattern)
        try:
            with self._opened.on(block) as session:
                for edit in session_edits(session, sparsity, mask, list(modules), written):
                    weight = layers[edit.name].weight
                    edit = edit.to(weight.device)
                    pruned = masked_weight(weight, edit.mask) if edit.weight is None else edit.weight
                    stored = pruned.T.contiguous() if layers[edit.name].transposed else pruned
                    update_offload_parameter(modules[edit.name], "weight", stored)
        except CandidateFailure as failure:
            self._stack.close()
            raise AutoPruneError(f"the algorithm {self.algorithm} failed: {failure}") from None
        finally:
            block.close()
