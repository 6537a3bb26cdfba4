"""Greedy removal of decoder blocks: one after the other, that without which the perplexity is lowest.

Source: Song et al., SLEB, arXiv 2402.09025, algorithm 1, with perplexity on calibration text as the metric.
"""

from autoprune.pruning.structures.spec import BLOCK, LossWithout, StructureSpec


def greedy_block(blocks: int, remove: int, loss_without: LossWithout) -> list[int]:
    """The removed blocks, ascending. Costs about `blocks` x `remove` measurements; the first of equal losses counts."""
    removed: frozenset[int] = frozenset()
    for _ in range(remove):
        left = [block for block in range(blocks) if block not in removed]
        losses = {block: loss_without(removed | {block}) for block in left}
        removed |= {min(left, key=lambda block: losses[block])}
    return sorted(removed)


SPEC = StructureSpec("greedy removal of blocks by perplexity (SLEB)", (BLOCK,), choose=greedy_block)
