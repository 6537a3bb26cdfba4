"""Allocations: the distribution of sparsity over units, on an exact budget."""
