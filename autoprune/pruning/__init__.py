"""The mathematics of pruning as pure functions: scores, allocations, masks, refinements, updates."""
