"""The maths of pruning, pure: blocks of any model, calibration statistics, scores, allocations, masks, updates."""
