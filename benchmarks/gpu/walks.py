"""Pruning a whole target block by block, as `autoprune prune --statistics sequential` does."""

from collections.abc import Callable, Sequence

from torch import Tensor

from autoprune.evaluation.algorithms import Opened, Published
from autoprune.evaluation.prune import Method, prune_blocks
from autoprune.models.observed import Observed
from autoprune.models.target import Edits, Target
from autoprune.pruning.layers import LayerInfo


def prune_all(
    target: Target,
    tokens: Tensor,
    method: Method,
    edits: Edits,
    sparsity: float,
    begin: Callable[[int], None] = lambda block: None,
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Prune every layer by Wanda, or by what the method chooses itself, uniformly. `tokens`: int64 [samples, seqlen].

    `begin` is called before a block is pruned, with its statistics collected; `advance` after each window of each
    block. Both may raise.
    """

    def plan(layers: Sequence[LayerInfo], seen: Observed) -> tuple[dict[str, int], dict[str, float]]:
        begin(layers[0].block)
        names = [layer.name for layer in layers]
        return {layer.name: round(sparsity * layer.size) for layer in layers}, dict.fromkeys(names, sparsity)

    scorer = Opened(Published.named("wanda")).on
    prune_blocks(target, tokens, method, plan, scorer, edits, sequential=True, advance=advance)
