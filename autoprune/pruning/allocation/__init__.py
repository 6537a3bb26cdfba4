"""Allocations: how sparsity is spread over units, always on an exact budget."""
