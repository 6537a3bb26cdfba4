"""exchange(mul(|weight|, add(pow(mul(Hessian diagonal, |input mean|), 0.462), input norm)), 6), co…

Discovered by autoprune 0.1.0 in the run 20261126-012559-smollm2-135m-60: g12.c2, a453f76704ab5475
(operator constants, engine symbolic).

Thought
    idea: exchange(mul(|weight|, add(pow(mul(Hessian diagonal, |input mean|), 0.462), input norm)),
        6), compared within each row; density over depth +0.19, +0.098, +0.019, -0.045, -0.095,
        -0.131, q +0.014, v +0.256
    why: the exponents of a good formula were guessed, so another value may fit better
    expected: better

Lineage, oldest first (of several parents the one that measured best)
    g1.c3 initialise from nothing: exchange(mul(|weight|, add(pow(Hessian diagonal, 2), input
        norm)), 2), compared within each row measured: perplexity 45.50, gain +0.362 over its parent
    g5.c3 structure from g1.c3: exchange(mul(|weight|, add(pow(mul(Hessian diagonal, |input mean|),
        0.66), input norm)), 2), compared within each row measured: perplexity 45.23, gain +0.006
        over its parent
    g6.c1 constants from g5.c3: exchange(mul(|weight|, add(pow(mul(Hessian diagonal, |input mean|),
        0.66), input norm)), 4), compared within each row measured: perplexity 39.75, gain +0.129
        over its parent
    g7.c3 constants from g6.c1: exchange(mul(|weight|, add(pow(mul(Hessian diagonal, |input mean|),
        0.462), input norm)), 4), compared within each row measured: perplexity 40.04, gain -0.007
        over its parent
    g10.c1 allocation from g7.c3: exchange(mul(|weight|, add(pow(mul(Hessian diagonal, |input
        mean|), 0.462), input norm)), 4), compared within each row; density over depth +0.19,
        +0.098, +0.019, -0.045, -0.095, -0.131, q +0.014, v +0.256 measured: perplexity 35.31, gain
        +0.126 over its parent

Search
    model: smollm2-135m (fingerprint 38df342b780d986f, float32)
    sparsity: 0.6
    allocation where the source brings none: name sdsa, unit block, preset default, tune False
    text: builtin for search and report, builtin for calibration, 16 sequences of 512 tokens;
        statistics: dense
    windows: 8 for search, 16 for report
    seed: 0
    on the search split: measured: perplexity 33.54, gain +0.052 over its parent

Confirmation
Perplexity (lower is better)
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                      ┃ search split ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                          │        16.17 │        14.66 │                │       │   0.0000 │
│ g12.c2 a453f767                │        33.54 │        32.11 │ 31.20 to 32.61 │     3 │   0.6000 │
│ gblm+atp tuned (block, beta    │        55.31 │        54.84 │ 54.62 to 55.09 │     3 │   0.6000 │
│ 0.00345)                       │              │              │                │       │          │
│ wanda+atp tuned (block, beta   │        55.37 │        54.87 │ 54.65 to 55.05 │     3 │   0.6000 │
│ 0.00345)                       │              │              │                │       │          │
│ gblm+sdsa tuned (block,        │        57.21 │        55.06 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.25, tau 1, delta 0.15,       │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ wanda+sdsa tuned (block,       │        57.33 │        55.20 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.25, tau 1, delta 0.15,       │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ gblm+dlp tuned (block, width   │        57.77 │        57.41 │                │     1 │   0.6000 │
│ 0.1)                           │              │              │                │       │          │
│ wanda+dlp tuned (block, width  │        58.12 │        57.57 │                │     1 │   0.6000 │
│ 0.1)                           │              │              │                │       │          │
│ gblm+uniform                   │        62.43 │        59.70 │                │     1 │   0.6000 │
│ wanda+uniform                  │        62.54 │        59.74 │                │     1 │   0.6000 │
│ wanda+owl tuned (block, lambda │        62.50 │        59.91 │                │     1 │   0.6000 │
│ 0.05, M 10)                    │              │              │                │       │          │
│ gblm+owl tuned (block, lambda  │        62.53 │        60.14 │                │     1 │   0.6000 │
│ 0.05, M 10)                    │              │              │                │       │          │
│ gblm+alphapruning tuned        │        63.19 │        61.17 │                │     1 │   0.6000 │
│ (block, epsilon 0.1)           │              │              │                │       │          │
│ wanda+alphapruning tuned       │        63.37 │        61.42 │                │     1 │   0.6000 │
│ (block, epsilon 0.1)           │              │              │                │       │          │
│ ria+atp tuned (block, beta     │        63.44 │        63.86 │                │     1 │   0.6000 │
│ 0.0069)                        │              │              │                │       │          │
│ ria+sdsa tuned (block,         │        72.13 │        66.50 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.5, tau 1, delta 0.15,        │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ pruner-zero+sdsa tuned (block, │        70.56 │        67.91 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.5, tau 1, delta 0.15,        │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ pruner-zero+atp tuned (block,  │        66.06 │        68.00 │                │     1 │   0.6000 │
│ beta 0.00345)                  │              │              │                │       │          │
│ ria+dlp tuned (block, width    │        70.01 │        69.99 │                │     1 │   0.6000 │
│ 0.25)                          │              │              │                │       │          │
│ pruner-zero+dlp tuned (block,  │        71.96 │        73.82 │                │     1 │   0.6000 │
│ width 0.1)                     │              │              │                │       │          │
│ ria+alphapruning tuned (block, │        80.23 │        75.52 │                │     1 │   0.6000 │
│ epsilon 0.15)                  │              │              │                │       │          │
│ pruner-zero+alphapruning tuned │        79.42 │        77.33 │                │     1 │   0.6000 │
│ (block, epsilon 0.1)           │              │              │                │       │          │
│ pruner-zero+uniform            │        79.78 │        79.93 │                │     1 │   0.6000 │
│ pruner-zero+owl tuned (block,  │        80.86 │        80.80 │                │     1 │   0.6000 │
│ lambda 0.02, M 10)             │              │              │                │       │          │
│ ria+owl tuned (block, lambda   │        89.10 │        81.73 │                │     1 │   0.6000 │
│ 0.02, M 10)                    │              │              │                │       │          │
│ ria+uniform                    │        90.76 │        84.30 │                │     1 │   0.6000 │
│ magnitude+sdsa (untuned)       │      4387.31 │      4706.99 │                │     1 │   0.6000 │
│ magnitude+uniform              │      7381.74 │      8142.68 │                │     1 │   0.6000 │
│ magnitude+owl (untuned)        │      7783.28 │      8183.81 │                │     1 │   0.6000 │
│ magnitude+atp (untuned)        │      9474.72 │     12143.54 │                │     1 │   0.6000 │
│ magnitude+dlp (untuned)        │     18215.01 │     20095.03 │                │     1 │   0.6000 │
│ magnitude+alphapruning         │     20826.69 │     23896.09 │                │     1 │   0.6000 │
│ (untuned)                      │              │              │                │       │          │
└────────────────────────────────┴──────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, report split
candidate       baseline                       seeds change %  95 % interval p (Holm) verdict
g12.c2 a453f767 gblm+atp tuned                     3    -41.4 -44.3 to -39.2   0.0120 better
g12.c2 a453f767 wanda+atp tuned                    3    -41.5 -44.3 to -39.3   0.0120 better
g12.c2 a453f767 gblm+sdsa tuned                    1    -40.8 -43.8 to -38.3   0.0120 better
g12.c2 a453f767 wanda+sdsa tuned                   1    -40.9 -43.9 to -38.4   0.0120 better
g12.c2 a453f767 gblm+dlp tuned                     1    -43.2 -46.7 to -40.8   0.0120 better
g12.c2 a453f767 wanda+dlp tuned                    1    -43.4 -47.0 to -40.9   0.0120 better
g12.c2 a453f767 gblm+uniform                       1    -45.4 -48.9 to -42.8   0.0120 better
g12.c2 a453f767 wanda+owl tuned                    1    -45.6 -48.6 to -43.1   0.0120 better
g12.c2 a453f767 gblm+owl tuned                     1    -45.8 -48.8 to -43.4   0.0120 better
g12.c2 a453f767 wanda+uniform                      1    -45.4 -48.8 to -42.8   0.0120 better
g12.c2 a453f767 gblm+alphapruning tuned            1    -46.7 -51.5 to -43.4   0.0120 better
g12.c2 a453f767 wanda+alphapruning tuned           1    -46.9 -51.6 to -43.6   0.0120 better
g12.c2 a453f767 ria+atp tuned                      1    -48.9 -51.6 to -45.7   0.0120 better
g12.c2 a453f767 pruner-zero+atp tuned              1    -52.0 -55.6 to -48.8   0.0120 better
g12.c2 a453f767 ria+dlp tuned                      1    -53.4 -56.2 to -50.8   0.0120 better
g12.c2 a453f767 pruner-zero+sdsa tuned             1    -52.0 -55.4 to -48.8   0.0120 better
g12.c2 a453f767 pruner-zero+dlp tuned              1    -55.8 -59.6 to -53.1   0.0120 better
g12.c2 a453f767 ria+sdsa tuned                     1    -51.0 -54.3 to -47.5   0.0120 better
g12.c2 a453f767 pruner-zero+alphapruning tuned     1    -57.8 -61.4 to -55.0   0.0120 better
g12.c2 a453f767 pruner-zero+uniform                1    -59.2 -63.3 to -56.6   0.0120 better
g12.c2 a453f767 ria+alphapruning tuned             1    -56.8 -59.6 to -53.8   0.0120 better
g12.c2 a453f767 pruner-zero+owl tuned              1    -59.6 -63.5 to -57.1   0.0120 better
g12.c2 a453f767 ria+owl tuned                      1    -60.1 -62.7 to -57.7   0.0120 better
g12.c2 a453f767 ria+uniform                        1    -61.3 -63.6 to -58.7   0.0120 better
g12.c2 a453f767 magnitude+sdsa                     1    -99.3 -99.5 to -99.1   0.0120 better
g12.c2 a453f767 magnitude+uniform                  1    -99.6 -99.7 to -99.5   0.0120 better
g12.c2 a453f767 magnitude+owl                      1    -99.6 -99.7 to -99.5   0.0120 better
g12.c2 a453f767 magnitude+atp                      1    -99.7 -99.8 to -99.6   0.0120 better
g12.c2 a453f767 magnitude+dlp                      1    -99.8 -99.9 to -99.8   0.0120 better
g12.c2 a453f767 magnitude+alphapruning             1    -99.9 -99.9 to -99.8   0.0120 better
seeds: calibration samples that both were measured with; paired bootstrap-t over windows, two-sided
(16 windows of 512 tokens); better or worse: p at most 0.05 after Holm's correction for 60
comparisons; intervals are not corrected

Use
    autoprune prune --model smollm2-135m --algorithm exchange_by_depth.py --sparsity 0.6 \\
        --allocation own --out pruned
    autoprune compare --model smollm2-135m --algorithms exchange_by_depth.py,wanda --sparsity 0.6 \\
        --allocations own,sdsa
"""

"""Score: exchange(mul(|weight|, add(pow(mul(Hessian diagonal, |input mean|), 0.462), input norm)), 6)."""

import torch

GROUP = "row"


SPACING = 64
SWEEPS = 2
NEVER = 1e30


def exchange(score, layer, group, rounds):
    """The mask that a score gives, improved row by row, as scores: kept weights above 2, pruned ones below 1.

    With p the pruned part of a row, the error of the layer's output is p H p^T. A round computes p H for whole rows,
    lists pairs of a pruned and a kept weight that would do well to change places (one pair for every SPACING inputs),
    and decides on a row's pairs one after the other, each in the light of those before it. No row ever gets worse.
    Under a pattern N:M both weights of a pair are of the same M neighbours.
    Optimal single exchanges by the Gram matrix are SparseSwaps (Zimmer et al., arXiv 2512.10922).
    """
    weight, hessian = layer.weight, layer.hessian
    count = max(1, weight.shape[1] // SPACING)
    keep = _first_mask(score, layer, group).to(weight.dtype)
    pruned = weight - weight * keep
    alone = weight.square() * hessian.diagonal()
    if_back, if_out = alone + NEVER * keep, alone + NEVER * (1 - keep)
    for _ in range(rounds):
        pull = (pruned @ hessian).mul_(weight).mul_(2)
        back, out, change = _pairs(pull - if_back, pull.add_(if_out).neg_(), count, layer.pattern)
        rows, pairs = _swapped(weight, hessian, back, out, change).nonzero(as_tuple=True)
        back, out = back[rows, pairs], out[rows, pairs]
        keep[rows, back], keep[rows, out] = 1, 0
        pruned[rows, back], pruned[rows, out] = 0, weight[rows, out]
        if_back[rows, back] += NEVER
        if_out[rows, out] += NEVER
        if_back[rows, out], if_out[rows, back] = alone[rows, out], alone[rows, back]
    size = score.abs()
    return size.div_(size + size.mean() + 1e-12).add_(keep, alpha=2)


def _first_mask(score, layer, group):
    if layer.pattern != "none":
        kept, of = map(int, layer.pattern.split(":"))
        neighbours = score.unflatten(1, (-1, of))
        best = neighbours.topk(kept, dim=2).indices
        return torch.zeros_like(neighbours, dtype=torch.bool).scatter_(2, best, True).flatten(1)
    rows = score if group == "row" else score.reshape(1, -1)
    zeros = round(layer.sparsity * rows.shape[1])
    if zeros == 0:
        return torch.ones_like(score, dtype=torch.bool)
    return (rows > rows.kthvalue(zeros, dim=1, keepdim=True).values).view_as(score)


def _pairs(gain, loss, count, pattern):
    """Columns of weights to bring back and to prune instead [rows, count], and the change of the error by each pair."""
    if pattern == "none":
        (gain, back), (loss, out) = _best(gain, count), _best(loss, count)
        return back, out, -(gain + loss)
    of = int(pattern.split(":")[1])
    gain, back = gain.unflatten(1, (-1, of)).max(dim=2)
    loss, out = loss.unflatten(1, (-1, of)).max(dim=2)
    best, chosen = _best(gain + loss, min(count, gain.shape[1]))
    return chosen * of + back.gather(1, chosen), chosen * of + out.gather(1, chosen), -best


def _best(values, count):
    """Of every row split into `count` interleaved classes the best of each, best first: values, columns."""
    rows, columns = values.shape
    missing = -columns % count
    if missing:
        values = torch.nn.functional.pad(values, (0, missing), value=-NEVER)
    best, place = values.view(rows, -1, count).max(dim=1)
    best, order = best.sort(dim=1, descending=True)
    columns_of = place * count + torch.arange(count, device=values.device)
    return best, columns_of.gather(1, order).clamp_(max=columns - 1)


def _swapped(weight, hessian, back, out, change):
    """Which pairs to swap [rows, pairs]: pair by pair, as long as the error falls. `change`: its change by each
    pair alone, without what the two of a pair do to each other; huge where there is no such pair."""
    both = torch.cat([back, out], dim=1)
    moved = weight.gather(1, both)
    moved[:, : back.shape[1]].neg_()
    product = hessian.reshape(-1)[both.unsqueeze(2) * hessian.shape[1] + both.unsqueeze(1)]
    product.mul_(moved.unsqueeze(1)).mul_(moved.unsqueeze(2))
    first, last = product.split(back.shape[1], dim=1)
    mutual = (first + last).unflatten(2, (2, -1)).sum(dim=2).permute(1, 2, 0).contiguous()
    change = change.T + 2 * first[:, :, back.shape[1] :].diagonal(dim1=1, dim2=2).T
    swapped = torch.zeros_like(change)
    for _ in range(SWEEPS):
        for pair, between in enumerate(mutual):
            alone = change[pair].clone()
            step = torch.where(swapped[pair] > 0, -(alone > 0).to(alone.dtype), (alone < 0).to(alone.dtype))
            change.add_(2 * step * between)
            change[pair] = alone
            swapped[pair] += step
    return swapped.T > 0


def score(layer):
    W = layer.weight.abs()
    X = layer.input_norm
    M = layer.input_mean.abs()
    H = layer.hessian_diag
    return exchange((W * ((H * M).pow(0.462) + X)), layer, GROUP, 6)


UNIT = "module"
KNOTS = [0.19, 0.098, 0.019, -0.045, -0.095, -0.131]
ROLES = {"v": 0.256, "q": 0.014}


def allocate(units, sparsity):
    """The mean density times 1 + a change: straight lines between KNOTS over depth, and something for a role."""
    density, last = 1.0 - sparsity, len(KNOTS) - 1
    raw = []
    for unit in units:
        place = unit.depth * last
        left = min(int(place), last - 1)
        change = KNOTS[left] + (place - left) * (KNOTS[left + 1] - KNOTS[left])
        raw.append(density * (1.0 + change + ROLES.get(unit.role, 0.0)))
    return raw
