"""g1.c2 whose ADMM picks its rho per layer from 0.35, 0.7, 1.4, 2.8 by the loss-weighted error
after an update on every fourth row.
Formula: rho_l = argmin_rho sum_r s_r^0.7 D_r(mask_rho) (H~ + 0.05 I) D_r(mask_rho)^T

Found by autoprune 0.1.0 in the run of the recording smollm2-135m-70-update: candidate g3.c1, c5eacd4619d21142
(operator structure, engine llm).
Perplexity on smollm2-135m at sparsity 0.7, report split: 28.38 (3 calibration seeds); best
baseline: wanda+admm-own+atp tuned, 40.56 (-30.0 %, 95 % interval -32.1 to -27.4 %: better).
It imports autoprune.kit, the functions of published algorithms in the package autoprune.
Lineage and confirmation: matrix_admm.md
"""

import math
import torch
from autoprune import kit

GROUP = "matrix"
UNIT = "projection"
DAMP = 0.05
ITERS = 20
RHOS = (0.35, 0.7, 1.4, 2.8)
POWER = 0.7


def _scaled(layer):
    h = layer.hessian.float()
    d = torch.diagonal(h).clone()
    d = d.clamp_min(d.mean() * 1e-6 + 1e-12)
    s = d.sqrt()
    return layer.weight.float() * s, h / s[:, None] / s[None, :], s


def _rows(layer):
    # root of the output sensitivity: |row scale * w|^2 is a loss, not an error
    q = layer.output_sensitivity.float()
    q = (q / q.mean().clamp_min(1e-30)).clamp(1e-3, 1e3)
    return (q ** (0.5 * POWER)).unsqueeze(1)


def _threshold(a, keep, steps=14):
    lo, hi = 0.0, float(a.max())
    for _ in range(steps):
        mid = 0.5 * (lo + hi)
        if int(torch.count_nonzero(a > mid)) > keep:
            lo = mid
        else:
            hi = mid
    return hi


def _admm(w0, hd, sparsity, rho, iters):
    n = hd.shape[0]
    inv = torch.cholesky_inverse(torch.linalg.cholesky(hd + rho * torch.eye(n)))
    base = (w0 @ hd) @ inv
    inv = rho * inv
    u = torch.zeros_like(w0)
    w = w0.clone()
    for t in range(iters):
        a = w + u
        f = min(1.0, (t + 1) / (0.7 * iters))
        sp = sparsity * (1.0 - (1.0 - f) ** 3)
        ab = a.abs()
        keep = max(1, int(round((1.0 - sp) * w0.numel())))
        z = a * (ab > _threshold(ab, keep)).float()
        u = a - z
        w = base + (z - u) @ inv
    return (w + u).abs(), z


def _cg(w0, hd, m, w, steps):
    r = ((w0 - w) @ hd) * m
    p = r.clone()
    rr = (r * r).sum(1, keepdim=True)
    for _ in range(steps):
        q = (p @ hd) * m
        alpha = rr / (p * q).sum(1, keepdim=True).clamp_min(1e-20)
        w = w + alpha * p
        r = r - alpha * q
        new = (r * r).sum(1, keepdim=True)
        p = r + (new / rr.clamp_min(1e-20)) * p
        rr = new
    return w * m


def _error(w0, hd, w):
    d = w0 - w
    return float(((d @ hd) * d).sum())


def score(layer):
    w0, h, _ = _scaled(layer)
    w0 = w0 * _rows(layer)
    hd = h + DAMP * torch.eye(h.shape[0])
    # the best rho of this layer, by the error after an update, on every fourth row
    sub = w0[1::4].contiguous()
    keep = max(1, int(round((1.0 - layer.sparsity) * sub.numel())))
    best, rho = None, RHOS[0]
    for cand in RHOS:
        sc, _ = _admm(sub, hd, layer.sparsity, cand, 16)
        m = (sc > _threshold(sc, keep, 18)).float()
        e = _error(sub, hd, _cg(sub, hd, m, sub * m, 7))
        if best is None or e < best:
            best, rho = e, cand
    return _admm(w0, hd, layer.sparsity, rho, ITERS)[0]


def update(layer, mask):
    w0, h, s = _scaled(layer)
    m = mask.float()
    hd = h + DAMP * torch.eye(h.shape[0])
    return _cg(w0, hd, m, w0 * m, 15) / s


ROLE = {
    "q": (-0.09, -0.01, 0.03), "k": (-0.13, 0.12, 0.13), "v": (-0.13, 0.12, 0.13),
    "o": (0.01, 0.02, 0.07), "gate": (0.035, -0.01, 0.025),
    "up": (0.005, -0.09, -0.045), "down": (-0.02, -0.04, -0.02),
}


def allocate(units, sparsity):
    last = max(u.depth for u in units)
    out = []
    for u in units:
        x = u.depth / last if last > 0 else 0.0
        r = ROLE.get(u.role, (0.0, 0.0, 0.0))
        y = 3.0 * x - 0.5
        if y <= 0:
            adj = r[0]
        elif y < 1:
            adj = r[0] + (r[1] - r[0]) * y
        elif y < 2:
            adj = r[1] + (r[2] - r[1]) * (y - 1)
        else:
            adj = r[2]
        d = 1.0 - sparsity + 0.13 - 0.26 * x + adj
        i = round(x * 29)
        if i == 0:
            d += 0.12
        elif i == 1:
            d -= 0.03
        elif i == 28:
            d += 0.04
        elif i == 29:
            d += 0.10
        out.append(d)
    return out
