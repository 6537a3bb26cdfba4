"""The helper `eliminated` of structured formulas. Inserted into candidates, never imported."""

import torch

DAMPING = 0.01


def eliminated(structures, importance, rounds):
    """Removes structures in rounds, and solves for the consumer's weight on what is left before it scores again."""
    device = structures.consumer.weight.device
    left, order = torch.arange(structures.count, device=device), torch.zeros(structures.count, device=device)
    gone = structures.count - structures.keep
    for number in range(rounds):
        scores = importance(only(structures, left))
        count = gone * (number + 1) // rounds - gone * number // rounds
        order[left] = number + 1 + 0.5 * scores / (scores.max() + 1e-12)
        ranked = scores.argsort(stable=True)
        order[left[ranked[:count]]] -= 1
        left = left[ranked[count:].sort().values]
    order[left] = rounds + order[left]
    return order


def only(structures, left):
    """The structures at `left`, with the consumer's weight that is closest to the whole one."""
    parts = []
    for part in structures.parts:
        fields = {**vars(part), "weight": part.weight[left]}
        if hasattr(part, "gradient"):
            fields["gradient"] = part.gradient[left]
        if part is structures.consumer:
            fields |= solved(part, left)
        elif hasattr(part, "output_sensitivity"):
            fields["output_sensitivity"] = part.output_sensitivity[left]
        parts.append(type(part)(**fields))
    own = {"count": len(left), "parts": parts, "consumer": parts[-1]}
    return type(structures)(**{**vars(structures), **own})


def solved(part, left):
    """The consumer's fields for the structures at `left`."""
    count, size, out = part.weight.shape
    fields = {name: getattr(part, name)[left] for name in ("input_norm", "input_mean", "input_var", "hessian_diag")}
    at = torch.arange(count * size, device=left.device).view(count, size)[left].flatten()
    kept = part.hessian[at][:, at]
    damped = kept + DAMPING * kept.diagonal().mean() * torch.eye(len(at), device=kept.device)
    weight = part.weight.flatten(0, 1)
    pulled = part.hessian[at] @ weight + DAMPING * kept.diagonal().mean() * weight[at]
    solution = torch.cholesky_solve(pulled, torch.linalg.cholesky(damped))
    return fields | {"hessian": kept, "weight": solution.view(len(left), size, out)}
