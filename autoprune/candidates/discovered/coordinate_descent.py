"""Mask by coordinate descent on sum_i s_i p_i H p_i^T over a whole matrix with one price of a zero, then swaps
within rows; p_i: pruned part of row i, s_i: its squared output gradient ^0.75, H: Hessian without 60 % of
the mean's part, off-diagonals shrunk; the first blocks spared. Under a pattern N:M it is Wanda.

Found by autoprune 0.1.0 in the run of the recording smollm2-135m-60-seed1: candidate g7.c2, c1c995e2f282c4ca (operator simplify,
engine llm).
Perplexity on smollm2-135m at sparsity 0.6, report split: 24.10 (3 calibration seeds); best
baseline: wanda+swaps+sdsa tuned, 31.30 (-23.0 %, 95 % interval -25.9 to -20.3 %: better).
Lineage and confirmation: coordinate_descent.md
"""

import math
import torch

GROUP = "matrix"
UNIT = "module"

SWEEPS = 4          # coordinate-descent sweeps with a Lagrange multiplier
SWAPS = 20          # pair exchanges per row
BLOCK = 32
# off-diagonals of H are shrunk: finite sample, and inputs that pruning upstream has shifted
START = 0.75        # the shrinkage of the first sweep
SHRINK_A = 0.16
SHRINK_B = 0.24     # more with depth
MEAN = 0.6          # share of the mean's part taken out of H
ALPHA = 0.75        # exponent of the Fisher weight of the rows

# density kept at depth 1/6, 1/2, 5/6
TABLE = {
    "q": (0.345, 0.452, 0.355),
    "k": (0.447, 0.490, 0.455),
    "v": (0.375, 0.565, 0.365),
    "o": (0.325, 0.560, 0.390),
    "gate": (0.388, 0.458, 0.373),
    "up": (0.373, 0.405, 0.393),
    "down": (0.388, 0.358, 0.348),
}


def allocate(units, sparsity):
    out = []
    for u in units:
        t = TABLE.get(u.role, (0.38, 0.43, 0.38))
        d = float(u.depth)
        if d <= 0.5:
            f = min(max((d - 1 / 6) * 3, 0.0), 1.0)
            x = t[0] * (1 - f) + t[1] * f
        else:
            f = min(max((d - 0.5) * 3, 0.0), 1.0)
            x = t[1] * (1 - f) + t[2] * f
        # the front of the network is spared
        x += 0.42 * max(1 - d / 0.14, 0.0) - 0.03 * max((d - 0.88) / 0.12, 0.0)
        out.append(min(max(x + (0.6 - sparsity), 0.02), 1.0))
    return out


def row_weight(layer, hd):
    g = layer.gradient.float()
    s = (g.sum(1) / hd.sqrt().sum().clamp_min(1e-12)).square()
    s = s / s.median().clamp_min(1e-30)
    return s.clamp(0.02, 50.0).pow(ALPHA)


def values(WT, Z, RT, hd, s):
    """cost of having each weight pruned, given all the others; layout [in, out]"""
    q = WT.square() * hd[:, None]
    v = 2 * WT * RT + torch.where(Z, -q, q)
    return v * s[None, :]


def sweep(WT, Z, H, hd, lam_row):
    n = WT.shape[0]
    PT = WT * Z
    for b in range(0, n, BLOCK):
        e = min(b + BLOCK, n)
        R = H[b:e] @ PT
        Hb = H[b:e, b:e].contiguous()
        Wb = WT[b:e]
        Zb = Z[b:e]
        Q = Wb.square() * hd[b:e, None]
        W2 = 2 * Wb
        QS = torch.where(Zb, -Q, Q) - lam_row[None, :]
        Pb = PT[b:e]
        for j in range(e - b):
            z = torch.addcmul(QS[j], W2[j], R[j]) < 0
            p = Wb[j] * z
            d = p - Pb[j]
            Pb[j] = p
            Z[b + j] = z
            if j + 1 < e - b:
                R[j + 1:].addr_(Hb[j + 1:, j], d)
    return Z


def exact(V, Z, lam, k):
    """flip the least harmful weights until exactly k are pruned"""
    c = int(Z.sum())
    if c == k:
        return Z
    flat = Z.reshape(-1).clone()
    v = V.reshape(-1)
    if c < k:
        x = torch.where(flat, torch.full_like(v, math.inf), v)
        i = torch.topk(x, k - c, largest=False).indices
        flat[i] = True
    else:
        x = torch.where(flat, v, torch.full_like(v, -math.inf))
        i = torch.topk(x, c - k).indices
        flat[i] = False
    return flat.view_as(Z)


def swaps(W, Z, H, hd, rounds):
    """exchanges within rows; layout [out, in]; monotone in p H p for each row"""
    inf = math.inf
    act = torch.arange(W.shape[0])
    R = (W * Z) @ H
    Q = W.square() * hd
    w, z, r, q = W, Z.clone(), R, Q
    Zout = Z.clone()
    for t in range(rounds):
        ar = torch.arange(w.shape[0])
        first_restore = t % 2 == 0
        wr = 2 * w * r
        if first_restore:
            c = torch.where(z, q - wr, inf)
            a, i = c.min(1)
            wi = w[ar, i]
            r1 = r - wi[:, None] * H[i]
            c = torch.where(z, inf, torch.addcmul(q, w, r1, value=2))
            c2, j = c.min(1)
            gain = a + c2
            r2 = r1.addcmul_(w[ar, j][:, None], H[j])
            up, dn = i, j
        else:
            c = torch.where(z, inf, q + wr)
            a, j = c.min(1)
            r1 = r + w[ar, j][:, None] * H[j]
            c = torch.where(z, torch.addcmul(q, w, r1, value=-2), inf)
            c2, i = c.min(1)
            gain = a + c2
            r2 = r1.addcmul_(w[ar, i][:, None], H[i], value=-1)
            up, dn = i, j
        ok = gain < -1e-7 * (q[ar, up] + q[ar, dn]) - 1e-30
        g = ok.nonzero()[:, 0]
        if g.numel() == 0:
            if t % 2 == 1 or t == rounds - 1:
                break
            continue
        z[g, up[g]] = False
        z[g, dn[g]] = True
        r = torch.where(ok[:, None], r2, r)
        if t % 2 == 1 and g.numel() < 0.8 * w.shape[0]:
            Zout[act] = z
            act, w, z, r, q = act[g], w[g], z[g], r[g], q[g]
    Zout[act] = z
    return Zout


def score(layer):
    W = layer.weight.float()
    hd = layer.hessian_diag.float().clamp_min(1e-12)
    if layer.pattern != "none":
        return W.abs() * hd.sqrt()
    out, n = W.shape
    k = int(round(float(layer.sparsity) * out * n))
    k = min(max(k, 1), out * n - 1)
    H = layer.hessian.float()
    H = 0.5 * (H + H.T)
    hd = H.diagonal().clone().clamp_min(1e-12)
    final = SHRINK_A + SHRINK_B * min(max(float(layer.depth), 0.0), 1.0)
    mu = layer.input_mean.float()
    H0 = H - MEAN * mu[:, None] * mu[None, :]
    hd = torch.maximum(hd - MEAN * mu.square(), 0.01 * hd)
    s = row_weight(layer, hd)
    WT = W.T.contiguous()

    V = WT.square() * hd[:, None] * s[None, :]
    lam = V.reshape(-1).kthvalue(k).values
    Z = V <= lam
    for t in range(SWEEPS):
        # annealed: from nearly independent inputs to the final couplings
        f = min(t / (SWEEPS - 2), 1.0)
        H = H0 * ((1 - START) * (1 - f) + (1 - final) * f)
        H.diagonal().copy_(hd)
        Z = sweep(WT, Z, H, hd, lam / s)
        RT = H @ (WT * Z)
        V = values(WT, Z, RT, hd, s)
        lam = V.reshape(-1).kthvalue(k).values.clamp_min(1e-30)
    Z = exact(V, Z, lam, k)
    Zr = swaps(W, Z.T.contiguous(), H, hd, SWAPS)
    R = (W * Zr) @ H
    V = values(WT, Zr.T, R.T, hd, s).T
    u = V / (V.abs() + lam.abs() + 1e-30)
    u = torch.nan_to_num(u).clamp(-1, 1)
    return torch.where(Zr, u, u + 4.0).contiguous()
