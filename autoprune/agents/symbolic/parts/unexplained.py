"""The helper `unexplained` of structured formulas. Inserted into candidates, never imported."""

import torch

DAMPING = 0.01


def unexplained(part):
    """The mean square of each input that the other inputs do not predict by least squares, [count, size]."""
    hessian = part.hessian
    damped = hessian + DAMPING * hessian.diagonal().mean() * torch.eye(len(hessian), device=hessian.device)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return (1.0 / inverse.diagonal()).view_as(part.input_var)
