"""Layers with correlated inputs for the tests of updates, and their reconstruction error."""

import torch


def problem(seed, rows=6, inputs=24, tokens=200):
    """A weight [out, in] and a layer Hessian [in, in] of inputs of different size that share a few directions."""
    draw = torch.Generator().manual_seed(seed)
    shared = torch.randn(tokens, 4, generator=draw) @ torch.randn(4, inputs, generator=draw)
    activations = (torch.randn(tokens, inputs, generator=draw) + shared) * (0.2 + torch.rand(inputs, generator=draw))
    return torch.randn(rows, inputs, generator=draw), activations.T @ activations / tokens


def error(weight, hessian, pruned):
    """The squared error of the layer's output."""
    difference = (pruned - weight).double()
    return float(((difference @ hessian.double()) * difference).sum())


def best_possible(weight, hessian, mask):
    """The weight with the least error under a mask, row by row by least squares in float64."""
    weight, hessian = weight.double(), hessian.double()
    best = torch.zeros_like(weight)
    for row, keep in enumerate(mask):
        inside = hessian[keep][:, keep]
        best[row, keep] = torch.linalg.solve(inside, hessian[keep] @ weight[row])
    return best


def never_active(hessian, dead):
    """The Hessian with some inputs set to zero."""
    alive = ~dead
    return hessian * alive * alive[:, None]
