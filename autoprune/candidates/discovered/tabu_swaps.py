"""Wanda's mask weighted by output sensitivity^0.75, improved by moves of zeros between rows, swaps and tabu search
within rows, on sum_i s_i p_i H' p_i^T; p_i: pruned part of row i, s_i: its output sensitivity^0.75, H': Hessian
with off-diagonals shrunk; densities by role and depth.

Found by autoprune 0.1.0 in the run of the recording smollm2-135m-60-seed0: candidate g9.c1, b5cc78165812bea6
(operator simplify, engine llm).
Perplexity on smollm2-135m at sparsity 0.6, report split: 23.73 (3 calibration seeds); best
baseline: wanda+swaps+sdsa tuned, 31.48 (-24.6 %, 95 % interval -27.4 to -21.8 %: better).
Lineage and confirmation: tabu_swaps.md
"""

import torch
import math

GROUP = "matrix"


def _row_weight(layer):
    s = layer.output_sensitivity.float().clamp_min(0)
    m = s.mean().clamp_min(1e-30)
    s = (s / m).clamp(1e-3, 1e3).pow(0.75)
    return s / s.mean() + 0.02


def score(layer):
    r = _row_weight(layer).sqrt().unsqueeze(1)
    return layer.weight.abs() * layer.hessian_diag.clamp_min(0).sqrt() * r


def _moves(W, mask, H, s, rounds):
    # moves a kept weight from a row where it is worth little to another row
    # where it is worth more, by the weighted exact changes of s_i p_i H p_i^T
    D = W * W * H.diagonal()
    kf = mask.to(W.dtype)
    big = 1e30
    S = W * (2.0 * kf - 1.0) * 2.0
    R = (W * (1.0 - kf)) @ H
    A = D + big * kf          # pruned weights, to be kept again
    B = D + big * (1.0 - kf)  # kept weights, to be pruned
    n = W.shape[0]
    cap = max(1, n // 3)
    for _ in range(rounds):
        a, j = torch.addcmul(A, S, R).min(1)
        b, k = torch.addcmul(B, S, R).min(1)
        a = a * s
        b = b * s
        sa, ia = torch.sort(a, stable=True)
        sb, ib = torch.sort(b, stable=True)
        gain = (sa + sb) < -1e-6 * sb.abs()
        gain = gain & (sb < 1e25)
        c = int(gain.to(torch.int64).cumprod(0).sum())
        c = min(c, cap)
        if c == 0:
            break
        inu = torch.zeros(n, dtype=torch.bool)
        inv = torch.zeros(n, dtype=torch.bool)
        inu[ia[:c]] = True
        inv[ib[:c]] = True
        both = inu & inv
        u = (inu & ~both).nonzero().squeeze(1)
        v = (inv & ~both).nonzero().squeeze(1)
        if u.numel() == 0:
            break
        for rows, cols, on in ((u, j[u], True), (v, k[v], False)):
            sv = S[rows, cols]
            R[rows] += (0.5 * sv).unsqueeze(1) * H[cols]
            S[rows, cols] = -sv
            dv = D[rows, cols]
            A[rows, cols] = dv + big if on else dv
            B[rows, cols] = dv if on else dv + big
    return A > 0.5 * big


def _flips(W, mask, H, rounds, prune_first):
    # one swap per row and round: the best first flip, then the best second
    # flip given the first, by the exact change of p H p^T
    keep_all = mask.clone()
    cnt = mask.sum(1)
    # rows that are wholly kept or wholly pruned have no swap
    rows = ((cnt > 0) & (cnt < W.shape[1])).nonzero().squeeze(1)
    if rows.numel() == 0:
        return keep_all
    W = W[rows]
    mask = mask[rows]
    D0 = W * W * H.diagonal()
    K = mask
    big = 1e30
    S = torch.where(K, W, -W) * 2.0
    R = (W * (~K)) @ H
    kf = K.to(W.dtype)
    if prune_first:
        A = D0 + big * (1.0 - kf)
        B = D0 + big * kf
    else:
        A = D0 + big * kf
        B = D0 + big * (1.0 - kf)
    tol = -1e-6 * ((W * (~K)) * R).sum(1).abs()
    D = D0
    for t in range(rounds):
        a, j = torch.addcmul(A, S, R).min(1)
        j1 = j.unsqueeze(1)
        sj = S.gather(1, j1)
        hj = H[j]
        R.addcmul_(sj * 0.5, hj)
        b, k = torch.addcmul(B, S, R).min(1)
        k1 = k.unsqueeze(1)
        sk = S.gather(1, k1)
        ok = (a + b) < tol
        o1 = ok.unsqueeze(1)
        tt = torch.where(ok, k, j)
        R.addcmul_(torch.where(o1, sk, -sj) * 0.5, H[tt])
        S.scatter_(1, j1, torch.where(o1, -sj, sj))
        S.scatter_(1, k1, torch.where(o1, -sk, sk))
        dj = D.gather(1, j1)
        dk = D.gather(1, k1)
        # j leaves set A and enters B, k the other way round
        A.scatter_(1, j1, torch.where(o1, dj + big, dj))
        B.scatter_(1, j1, torch.where(o1, dj, dj + big))
        B.scatter_(1, k1, torch.where(o1, dk + big, dk))
        A.scatter_(1, k1, torch.where(o1, dk, dk + big))
        n_ok = int(ok.sum())
        n = ok.numel()
        if n_ok < 0.85 * n or t == rounds - 1:
            kept = (A < 0.5 * big) if prune_first else (A > 0.5 * big)
            keep_all[rows] = kept
            if n_ok == 0:
                break
            sel = ok.nonzero().squeeze(1)
            rows, S, R = rows[sel], S[sel], R[sel]
            A, B, D, tol = A[sel], B[sel], D[sel], tol[sel]
    return keep_all


def _tabu(W, mask, H, rounds, tenure):
    # tabu search per row: the best swap is made even where it makes the row
    # worse, what was flipped is barred for some rounds, and the best mask that
    # was seen on the way is returned
    keep_all = mask.clone()
    cnt = mask.sum(1)
    rows = ((cnt > 2) & (cnt < W.shape[1] - 2)).nonzero().squeeze(1)
    if rows.numel() == 0:
        return keep_all
    W = W[rows]
    K = mask[rows]
    big = 1e30
    half = 0.5 * big
    D = W * W * H.diagonal()
    kf = K.to(W.dtype)
    S = W * (2.0 * kf - 1.0) * 2.0
    R = (W * (1.0 - kf)) @ H
    P = D + big * kf           # the pruned weights
    Q = D + big * (1.0 - kf)   # the kept weights
    err = torch.zeros(rows.numel())
    tol = 1e-5 * ((W * (1.0 - kf)) * R).sum(1).abs()
    best = torch.zeros(rows.numel())
    best_t = torch.full((rows.numel(),), -1, dtype=torch.long)
    hist = []
    for t in range(rounds):
        if t >= tenure:
            j0, k0, o0, first_is_pruned = hist[t - tenure]
            A, B = (P, Q) if first_is_pruned else (Q, P)
            # the first has gone over to B, the second to A
            B.scatter_(1, j0, torch.where(o0, D.gather(1, j0), B.gather(1, j0)))
            A.scatter_(1, k0, torch.where(o0, D.gather(1, k0), A.gather(1, k0)))
        fp = t % 2 == 0
        A, B = (P, Q) if fp else (Q, P)
        a, j = torch.addcmul(A, S, R).min(1)
        j1 = j.unsqueeze(1)
        sj = S.gather(1, j1)
        R.addcmul_(sj * 0.5, H[j])
        b, k = torch.addcmul(B, S, R).min(1)
        k1 = k.unsqueeze(1)
        sk = S.gather(1, k1)
        ok = (a < half) & (b < half)
        o1 = ok.unsqueeze(1)
        R.addcmul_(torch.where(o1, sk, -sj) * 0.5, H[torch.where(ok, k, j)])
        S.scatter_(1, j1, torch.where(o1, -sj, sj))
        S.scatter_(1, k1, torch.where(o1, -sk, S.gather(1, k1)))
        A.scatter_(1, j1, torch.where(o1, torch.full_like(sj, big), A.gather(1, j1)))
        B.scatter_(1, k1, torch.where(o1, torch.full_like(sk, big), B.gather(1, k1)))
        err = err + torch.where(ok, a + b, torch.zeros_like(a))
        better = err < best - tol
        best = torch.where(better, err, best)
        best_t = torch.where(better, torch.full_like(best_t, t), best_t)
        hist.append((j1, k1, o1, fp))
    flips = torch.zeros(W.shape, dtype=torch.int16)
    for t, (j1, k1, o1, fp) in enumerate(hist):
        use = (o1 & (best_t >= t).unsqueeze(1)).to(torch.int16)
        flips.scatter_add_(1, j1, use)
        flips.scatter_add_(1, k1, use)
    keep_all[rows] = K ^ (flips % 2 == 1)
    return keep_all


def refine(layer, mask):
    W = layer.weight.float()
    H = layer.hessian.float()
    H = 0.5 * (H + H.t())
    d = H.diagonal().clone()
    lam = 0.15
    H = (1.0 - lam) * H
    H.diagonal().copy_(d + 1e-8 * d.mean())
    s = _row_weight(layer)
    m = mask.bool()
    for _ in range(2):
        m = _moves(W, m, H, s, 24)
        m = _flips(W, m, H, 24, False)
    m = _moves(W, m, H, s, 24)
    m = _flips(W, m, H, 60, True)
    m = _tabu(W, m, H, 90, 10)
    m = _moves(W, m, H, s, 12)
    m = _flips(W, m, H, 10, False)
    return m if int(m.sum()) == int(mask.sum()) else mask.bool()


UNIT = "module"
PARAMS = {'slope': 0.1749, 'o_slope': 0.4043, 'up_slope': -0.03127, 'q_slope': 0.2135, 'first': 0.253, 'last': 0.008819}
ROLE = {"q": 0.0, "k": 0.06, "v": 0.31, "o": -0.03, "gate": 0.01, "up": 0.02, "down": -0.05}


def allocate(units, sparsity):
    raw = []
    for u in units:
        x = float(u.depth)
        r = u.role
        d = 1.0 - sparsity + ROLE.get(r, 0.0) + PARAMS["slope"] * (0.5 - x)
        if r == "o":
            d += PARAMS["o_slope"] * (x - 0.5)
        elif r == "up":
            d += PARAMS["up_slope"] * (x - 0.5)
        elif r == "q" or r == "k":
            d += PARAMS["q_slope"] * (x - 0.5)
        if x < 0.001:
            d += PARAMS["first"]
        if x > 0.999:
            d += PARAMS["last"]
        raw.append(min(max(d, 0.06), 0.95))
    return raw
