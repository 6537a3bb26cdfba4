"""exchange(mul(|weight|, add(input norm, mul(|gradient|, pow(|input mean|, 0.75)))), 8), compared…

Discovered by autoprune 0.1.0 in the run 20261126-234612-smollm2-135m-60: g16.c3, 3fb2af0b42c2da5d
(operator allocation, engine symbolic).

Thought
    idea: exchange(mul(|weight|, add(input norm, mul(|gradient|, pow(|input mean|, 0.75)))), 8),
        compared within each row; density over depth +0.344, +0.141, -0.006, -0.097, -0.132, -0.11,
        q -0.043, up -0.078
    why: a good score may be spread badly: some depths and roles bear more sparsity than others
    expected: better

Lineage, oldest first (of several parents the one that measured best)
    seed.gblm: a published score
    g2.c2 structure from seed.gblm: exchange(mul(|weight|, add(input norm, mul(|gradient|, 100))),
        8), compared within each row measured: perplexity 38.68, gain +0.529 over its parent
    g4.c1 structure from g2.c2: exchange(mul(|weight|, add(input norm, mul(mul(|gradient|,
        pow(|input mean|, 0.75)), 100))), 8), compared within each row measured: perplexity 38.72,
        gain -0.001 over its parent
    g9.c3 allocation from g4.c1: exchange(mul(|weight|, add(input norm, mul(mul(|gradient|,
        pow(|input mean|, 0.75)), 100))), 8), compared within each row; density over depth +0.332,
        +0.125, -0.018, -0.098, -0.115, -0.067, up +0.105, v -0.058 measured: perplexity 36.73, gain
        +0.053 over its parent
    g12.c2 simplify from g9.c3: exchange(mul(|weight|, add(input norm, mul(|gradient|, pow(|input
        mean|, 0.75)))), 8), compared within each row; density over depth +0.332, +0.125, -0.018,
        -0.098, -0.115, -0.067, up +0.105, v -0.058 measured: perplexity 36.54, gain +0.005 over its
        parent
    g13.c2 allocation from g12.c2: exchange(mul(|weight|, add(input norm, mul(|gradient|, pow(|input
        mean|, 0.75)))), 8), compared within each row; density over depth +0.332, +0.125, -0.018,
        -0.034, -0.115, -0.067, up +0.105, v -0.058 measured: perplexity 35.82, gain +0.020 over its
        parent

Search
    model: smollm2-135m (fingerprint b7b7cb9bb7888c1f, bfloat16)
    sparsity: 0.6
    allocation where the source brings none: name sdsa, unit block, preset default, tune False
    text: builtin for search and report, builtin for calibration, 16 sequences of 512 tokens;
        statistics: dense
    windows: 8 for search, 16 for report
    seed: 0
    on the search split: measured: perplexity 34.15, gain +0.048 over its parent

Confirmation
Perplexity (lower is better)
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                      ┃ search split ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                          │        16.18 │        14.67 │                │       │   0.0000 │
│ g16.c3 3fb2af0b                │        34.15 │        33.45 │ 32.87 to 33.77 │     3 │   0.6000 │
│ gblm+atp tuned (block, beta    │        55.05 │        54.78 │ 54.49 to 54.99 │     3 │   0.6000 │
│ 0.00345)                       │              │              │                │       │          │
│ wanda+atp tuned (block, beta   │        54.99 │        54.84 │ 54.59 to 54.99 │     3 │   0.6000 │
│ 0.00345)                       │              │              │                │       │          │
│ gblm+sdsa tuned (block,        │        57.17 │        55.24 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.25, tau 1, delta 0.15,       │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ wanda+sdsa tuned (block,       │        57.29 │        55.42 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.25, tau 1, delta 0.15,       │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ gblm+dlp tuned (block, width   │        57.56 │        56.98 │                │     1 │   0.6000 │
│ 0.1)                           │              │              │                │       │          │
│ wanda+dlp tuned (block, width  │        57.79 │        57.23 │                │     1 │   0.6000 │
│ 0.1)                           │              │              │                │       │          │
│ wanda+owl tuned (block, lambda │        62.84 │        60.01 │                │     1 │   0.6000 │
│ 0.05, M 10)                    │              │              │                │       │          │
│ gblm+uniform                   │        62.89 │        60.34 │                │     1 │   0.6000 │
│ wanda+uniform                  │        63.28 │        60.52 │                │     1 │   0.6000 │
│ gblm+owl tuned (block, lambda  │        63.03 │        60.76 │                │     1 │   0.6000 │
│ 0.02, M 10)                    │              │              │                │       │          │
│ gblm+alphapruning tuned        │        62.94 │        61.11 │                │     1 │   0.6000 │
│ (block, epsilon 0.1)           │              │              │                │       │          │
│ wanda+alphapruning tuned       │        63.13 │        61.14 │                │     1 │   0.6000 │
│ (block, epsilon 0.1)           │              │              │                │       │          │
│ ria+atp tuned (block, beta     │        62.80 │        63.15 │                │     1 │   0.6000 │
│ 0.0069)                        │              │              │                │       │          │
│ ria+sdsa tuned (block,         │        72.39 │        66.41 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.5, tau 1, delta 0.15,        │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ pruner-zero+sdsa tuned (block, │        71.75 │        69.30 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.5, tau 1, delta 0.15,        │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ ria+dlp tuned (block, width    │        69.80 │        70.01 │                │     1 │   0.6000 │
│ 0.2)                           │              │              │                │       │          │
│ pruner-zero+atp tuned (block,  │        67.26 │        70.30 │                │     1 │   0.6000 │
│ beta 0.0069)                   │              │              │                │       │          │
│ pruner-zero+dlp tuned (block,  │        70.86 │        72.96 │                │     1 │   0.6000 │
│ width 0.15)                    │              │              │                │       │          │
│ ria+alphapruning tuned (block, │        80.59 │        75.80 │                │     1 │   0.6000 │
│ epsilon 0.15)                  │              │              │                │       │          │
│ pruner-zero+owl tuned (block,  │        77.98 │        77.76 │                │     1 │   0.6000 │
│ lambda 0.02, M 10)             │              │              │                │       │          │
│ pruner-zero+uniform            │        78.73 │        77.84 │                │     1 │   0.6000 │
│ pruner-zero+alphapruning tuned │        80.05 │        78.91 │                │     1 │   0.6000 │
│ (block, epsilon 0.05)          │              │              │                │       │          │
│ ria+owl tuned (block, lambda   │        90.13 │        82.53 │                │     1 │   0.6000 │
│ 0.02, M 10)                    │              │              │                │       │          │
│ ria+uniform                    │        88.90 │        83.31 │                │     1 │   0.6000 │
│ magnitude+sdsa (untuned)       │      4270.83 │      4624.09 │                │     1 │   0.6000 │
│ magnitude+uniform              │      7533.50 │      8544.88 │                │     1 │   0.6000 │
│ magnitude+owl (untuned)        │      8149.11 │      9772.55 │                │     1 │   0.6000 │
│ magnitude+atp (untuned)        │      9260.42 │     11513.05 │                │     1 │   0.6000 │
│ magnitude+dlp (untuned)        │     18114.12 │     21203.23 │                │     1 │   0.6000 │
│ magnitude+alphapruning         │     21242.59 │     24003.20 │                │     1 │   0.6000 │
│ (untuned)                      │              │              │                │       │          │
└────────────────────────────────┴──────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, report split
candidate       baseline                       seeds change %  95 % interval p (Holm) verdict
g16.c3 3fb2af0b wanda+atp tuned                    3    -39.0 -41.5 to -36.7   0.0260 better
g16.c3 3fb2af0b gblm+atp tuned                     3    -38.9 -41.5 to -36.6   0.0260 better
g16.c3 3fb2af0b gblm+sdsa tuned                    1    -40.5 -43.1 to -38.0   0.0260 better
g16.c3 3fb2af0b wanda+sdsa tuned                   1    -40.7 -43.4 to -38.2   0.0260 better
g16.c3 3fb2af0b gblm+dlp tuned                     1    -42.3 -45.6 to -39.6   0.0260 better
g16.c3 3fb2af0b wanda+dlp tuned                    1    -42.6 -45.8 to -39.9   0.0260 better
g16.c3 3fb2af0b ria+atp tuned                      1    -47.9 -50.5 to -45.0   0.0260 better
g16.c3 3fb2af0b wanda+owl tuned                    1    -45.2 -47.9 to -42.6   0.0260 better
g16.c3 3fb2af0b gblm+uniform                       1    -45.5 -48.5 to -42.8   0.0260 better
g16.c3 3fb2af0b gblm+alphapruning tuned            1    -46.2 -50.2 to -42.9   0.0260 better
g16.c3 3fb2af0b gblm+owl tuned                     1    -45.9 -48.6 to -43.1   0.0260 better
g16.c3 3fb2af0b wanda+alphapruning tuned           1    -46.2 -50.3 to -42.9   0.0260 better
g16.c3 3fb2af0b wanda+uniform                      1    -45.7 -48.7 to -42.9   0.0260 better
g16.c3 3fb2af0b pruner-zero+atp tuned              1    -53.2 -56.1 to -50.3   0.0260 better
g16.c3 3fb2af0b ria+dlp tuned                      1    -53.0 -55.4 to -50.5   0.0260 better
g16.c3 3fb2af0b pruner-zero+dlp tuned              1    -54.9 -58.6 to -51.8   0.0260 better
g16.c3 3fb2af0b pruner-zero+sdsa tuned             1    -52.6 -55.6 to -49.7   0.0260 better
g16.c3 3fb2af0b ria+sdsa tuned                     1    -50.5 -53.6 to -47.3   0.0260 better
g16.c3 3fb2af0b pruner-zero+owl tuned              1    -57.7 -61.2 to -54.9   0.0260 better
g16.c3 3fb2af0b pruner-zero+uniform                1    -57.8 -60.9 to -55.0   0.0260 better
g16.c3 3fb2af0b pruner-zero+alphapruning tuned     1    -58.3 -61.7 to -55.8   0.0260 better
g16.c3 3fb2af0b ria+alphapruning tuned             1    -56.6 -59.1 to -54.0   0.0260 better
g16.c3 3fb2af0b ria+uniform                        1    -60.5 -62.8 to -57.9   0.0260 better
g16.c3 3fb2af0b ria+owl tuned                      1    -60.2 -62.7 to -57.9   0.0260 better
g16.c3 3fb2af0b magnitude+sdsa                     1    -99.3 -99.5 to -99.1   0.0260 better
g16.c3 3fb2af0b magnitude+uniform                  1    -99.6 -99.7 to -99.5   0.0260 better
g16.c3 3fb2af0b magnitude+owl                      1    -99.7 -99.8 to -99.6   0.0260 better
g16.c3 3fb2af0b magnitude+atp                      1    -99.7 -99.8 to -99.6   0.0260 better
g16.c3 3fb2af0b magnitude+dlp                      1    -99.8 -99.9 to -99.8   0.0260 better
g16.c3 3fb2af0b magnitude+alphapruning             1    -99.9 -99.9 to -99.8   0.0260 better
smollm2-135m at sparsity 0.5
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                                     ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                                         │        14.67 │                │       │   0.0000 │
│ g16.c3 3fb2af0b                               │        21.99 │ 21.70 to 22.20 │     3 │   0.5000 │
│ wanda+atp tuned in the search (block, beta    │        26.86 │ 26.73 to 26.97 │     3 │   0.5000 │
│ 0.00345)                                      │              │                │       │          │
│ gblm+atp tuned in the search (block, beta     │        26.88 │ 26.73 to 27.03 │     3 │   0.5000 │
│ 0.00345)                                      │              │                │       │          │
│ gblm+sdsa tuned in the search (block,         │        27.08 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.25, tau 1,      │              │                │       │          │
│ delta 0.15, staged)                           │              │                │       │          │
│ wanda+sdsa tuned in the search (block,        │        27.12 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.25, tau 1,      │              │                │       │          │
│ delta 0.15, staged)                           │              │                │       │          │
│ wanda+dlp tuned in the search (block, width   │        27.20 │                │     1 │   0.5000 │
│ 0.1)                                          │              │                │       │          │
│ gblm+dlp tuned in the search (block, width    │        27.21 │                │     1 │   0.5000 │
│ 0.1)                                          │              │                │       │          │
│ gblm+owl tuned in the search (block, lambda   │        27.33 │                │     1 │   0.5000 │
│ 0.02, M 10)                                   │              │                │       │          │
│ wanda+owl tuned in the search (block, lambda  │        27.42 │                │     1 │   0.5000 │
│ 0.05, M 10)                                   │              │                │       │          │
│ gblm+uniform                                  │        27.68 │                │     1 │   0.5000 │
│ wanda+alphapruning tuned in the search        │        27.70 │                │     1 │   0.5000 │
│ (block, epsilon 0.1)                          │              │                │       │          │
│ gblm+alphapruning tuned in the search (block, │        27.72 │                │     1 │   0.5000 │
│ epsilon 0.1)                                  │              │                │       │          │
│ wanda+uniform                                 │        27.77 │                │     1 │   0.5000 │
│ ria+sdsa tuned in the search (block,          │        29.04 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, staged)                                 │              │                │       │          │
│ ria+owl tuned in the search (block, lambda    │        29.69 │                │     1 │   0.5000 │
│ 0.02, M 10)                                   │              │                │       │          │
│ ria+uniform                                   │        29.80 │                │     1 │   0.5000 │
│ ria+atp tuned in the search (block, beta      │        30.02 │                │     1 │   0.5000 │
│ 0.0069)                                       │              │                │       │          │
│ ria+alphapruning tuned in the search (block,  │        30.18 │                │     1 │   0.5000 │
│ epsilon 0.15)                                 │              │                │       │          │
│ pruner-zero+sdsa tuned in the search (block,  │        30.79 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, staged)                                 │              │                │       │          │
│ pruner-zero+atp tuned in the search (block,   │        30.95 │                │     1 │   0.5000 │
│ beta 0.0069)                                  │              │                │       │          │
│ pruner-zero+owl tuned in the search (block,   │        30.96 │                │     1 │   0.5000 │
│ lambda 0.02, M 10)                            │              │                │       │          │
│ pruner-zero+dlp tuned in the search (block,   │        30.97 │                │     1 │   0.5000 │
│ width 0.15)                                   │              │                │       │          │
│ pruner-zero+uniform                           │        31.55 │                │     1 │   0.5000 │
│ pruner-zero+alphapruning tuned in the search  │        31.66 │                │     1 │   0.5000 │
│ (block, epsilon 0.05)                         │              │                │       │          │
│ ria+dlp tuned in the search (block, width     │        31.95 │                │     1 │   0.5000 │
│ 0.2)                                          │              │                │       │          │
│ magnitude+owl (untuned)                       │       292.95 │                │     1 │   0.5000 │
│ magnitude+sdsa (untuned)                      │       302.06 │                │     1 │   0.5000 │
│ magnitude+uniform                             │       408.14 │                │     1 │   0.5000 │
│ magnitude+alphapruning (untuned)              │       434.11 │                │     1 │   0.5000 │
│ magnitude+dlp (untuned)                       │       473.50 │                │     1 │   0.5000 │
│ magnitude+atp (untuned)                       │      2535.66 │                │     1 │   0.5000 │
└───────────────────────────────────────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, smollm2-135m at sparsity 0.5
candidate       baseline                             seeds change %  95 % interval p (Holm) verdict
g16.c3 3fb2af0b wanda+atp tuned in the search            3    -18.1 -19.9 to -16.6   0.0260 better
g16.c3 3fb2af0b gblm+atp tuned in the search             3    -18.2 -20.0 to -16.6   0.0260 better
g16.c3 3fb2af0b gblm+sdsa tuned in the search            1    -18.5 -20.8 to -15.8   0.0260 better
g16.c3 3fb2af0b wanda+sdsa tuned in the search           1    -18.6 -20.9 to -15.9   0.0260 better
g16.c3 3fb2af0b gblm+dlp tuned in the search             1    -18.9 -20.9 to -16.7   0.0260 better
g16.c3 3fb2af0b wanda+dlp tuned in the search            1    -18.9 -20.9 to -16.7   0.0260 better
g16.c3 3fb2af0b ria+atp tuned in the search              1    -26.5 -29.1 to -23.2   0.0260 better
g16.c3 3fb2af0b wanda+owl tuned in the search            1    -19.5 -22.3 to -17.1   0.0260 better
g16.c3 3fb2af0b gblm+uniform                             1    -20.3 -23.4 to -17.6   0.0260 better
g16.c3 3fb2af0b gblm+alphapruning tuned in the           1    -20.4 -23.9 to -17.6   0.0260 better
                search
g16.c3 3fb2af0b gblm+owl tuned in the search             1    -19.3 -22.4 to -16.7   0.0260 better
g16.c3 3fb2af0b wanda+alphapruning tuned in the          1    -20.4 -23.9 to -17.5   0.0260 better
                search
g16.c3 3fb2af0b wanda+uniform                            1    -20.5 -23.6 to -17.9   0.0260 better
g16.c3 3fb2af0b pruner-zero+atp tuned in the search      1    -28.7 -31.0 to -24.7   0.0260 better
g16.c3 3fb2af0b ria+dlp tuned in the search              1    -31.0 -33.9 to -27.3   0.0260 better
g16.c3 3fb2af0b pruner-zero+dlp tuned in the search      1    -28.8 -31.0 to -26.1   0.0260 better
g16.c3 3fb2af0b pruner-zero+sdsa tuned in the search     1    -28.4 -31.3 to -25.4   0.0260 better
g16.c3 3fb2af0b ria+sdsa tuned in the search             1    -24.0 -27.4 to -20.1   0.0260 better
g16.c3 3fb2af0b pruner-zero+owl tuned in the search      1    -28.7 -30.6 to -26.0   0.0260 better
g16.c3 3fb2af0b pruner-zero+uniform                      1    -30.1 -32.1 to -27.1   0.0260 better
g16.c3 3fb2af0b pruner-zero+alphapruning tuned in        1    -30.3 -32.6 to -28.0   0.0260 better
                the search
g16.c3 3fb2af0b ria+alphapruning tuned in the search     1    -26.9 -29.9 to -23.8   0.0260 better
g16.c3 3fb2af0b ria+uniform                              1    -26.0 -28.7 to -23.0   0.0260 better
g16.c3 3fb2af0b ria+owl tuned in the search              1    -25.7 -28.6 to -22.8   0.0260 better
g16.c3 3fb2af0b magnitude+sdsa                           1    -92.7 -93.5 to -91.6   0.0260 better
g16.c3 3fb2af0b magnitude+uniform                        1    -94.6 -95.2 to -93.7   0.0260 better
g16.c3 3fb2af0b magnitude+owl                            1    -92.5 -93.3 to -91.5   0.0260 better
g16.c3 3fb2af0b magnitude+atp                            1    -99.1 -99.2 to -99.0   0.0260 better
g16.c3 3fb2af0b magnitude+dlp                            1    -95.3 -95.8 to -94.7   0.0260 better
g16.c3 3fb2af0b magnitude+alphapruning                   1    -94.9 -95.4 to -94.4   0.0260 better
smollm2-135m under the pattern 2:4
┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm       ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense           │        14.67 │                │       │   0.0000 │
│ g16.c3 3fb2af0b │        47.63 │ 46.20 to 49.46 │     3 │   0.5000 │
│ wanda           │        82.67 │ 81.99 to 83.44 │     3 │   0.5000 │
│ gblm            │        83.23 │ 82.69 to 84.28 │     3 │   0.5000 │
│ ria             │        99.06 │                │     1 │   0.5000 │
│ pruner-zero     │       109.12 │                │     1 │   0.5000 │
│ magnitude       │      1916.00 │                │     1 │   0.5000 │
└─────────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, smollm2-135m under the pattern 2:4
candidate       baseline    seeds change %  95 % interval p (Holm) verdict
g16.c3 3fb2af0b wanda           3    -42.4 -44.5 to -40.2   0.0260 better
g16.c3 3fb2af0b gblm            3    -42.8 -44.8 to -40.7   0.0260 better
g16.c3 3fb2af0b ria             1    -53.4 -57.0 to -50.3   0.0260 better
g16.c3 3fb2af0b pruner-zero     1    -57.7 -60.1 to -55.1   0.0260 better
g16.c3 3fb2af0b magnitude       1    -97.6 -98.0 to -97.1   0.0260 better
seeds: calibration samples that both were measured with; paired bootstrap-t over windows, two-sided
(16 windows of 512 tokens); better or worse: p at most 0.05 after Holm's correction for 130
comparisons; intervals are not corrected

Use
    autoprune prune --model smollm2-135m --algorithm exchange_by_gradient.py --sparsity 0.6 \\
        --allocation own --out pruned
    autoprune compare --model smollm2-135m --algorithms exchange_by_gradient.py,wanda --sparsity 0.6 \\
        --allocations own,sdsa
"""

"""Score: exchange(mul(|weight|, add(input norm, mul(|gradient|, pow(|input mean|, 0.75)))), 8)."""

import torch

GROUP = "row"


SPACING = 288
NEVER = 2.0**100


def exchange(score, layer, group, rounds):
    """The mask that a score gives, improved row by row, as scores: kept weights above 2, pruned ones below 1.

    With p the pruned part of a row, the error of the layer's output is p H p^T. A round lists pairs of a pruned and a
    kept weight that would do well to change places (one pair for every SPACING inputs, or a few more), by p H of the
    whole row, and decides on a row's pairs one after the other, each in the light of those before it. Few pairs, for
    the next round knows what these did to p H. No row ever gets worse. Under a pattern N:M both weights of a pair are
    of the same M neighbours.
    Optimal single exchanges by the Gram matrix are SparseSwaps (Zimmer et al., arXiv 2512.10922).
    """
    weight, hessian = layer.weight, layer.hessian
    keep = _first_mask(score, layer, group)
    pulled = (weight - weight * keep) @ hessian
    # What p gains at a weight that changes its place, and what that alone does to the error: 2 step (p H) + alone.
    step, alone = weight * (2 * keep - 1), weight.square() * hessian.diagonal()
    kept, pruned = NEVER * keep, NEVER * (1 - keep)
    for _ in range(rounds):
        effect = torch.addcmul(alone, pulled, step, value=2)
        back, out = _pairs(effect, kept, pruned, layer.pattern)
        forbidden = kept.gather(1, back) + pruned.gather(1, out)
        columns = torch.cat([back, out], dim=1)
        moved, was_kept = step.gather(1, columns), kept.gather(1, columns)
        swapped = _swapped(hessian, columns, moved, pulled.gather(1, columns), forbidden).repeat(1, 2)
        pulled += _product(columns, moved * swapped, hessian)
        now_kept = was_kept + swapped * (NEVER - 2 * was_kept)
        step.scatter_(1, columns, moved - 2 * moved * swapped)
        kept.scatter_(1, columns, now_kept)
        pruned.scatter_(1, columns, NEVER - now_kept)
    size = score.abs()
    return size.div_(size + size.mean() + 1e-12).add_(kept, alpha=2 / NEVER)


def _first_mask(score, layer, group):
    """1 where a weight is kept, else 0."""
    if layer.pattern == "none":
        rows = score if group == "row" else score.reshape(1, -1)
        most = rows.shape[1] - round(layer.sparsity * rows.shape[1])
    else:
        most, of = map(int, layer.pattern.split(":"))
        rows = score.reshape(-1, of)
    best = rows.topk(most, dim=1, sorted=False).indices
    return torch.zeros_like(rows).scatter_(1, best, 1.0).view_as(score)


def _pairs(effect, kept, pruned, pattern):
    """Columns of weights to bring back, and of those to prune instead, [rows, pairs] each.

    The columns are split into classes, within which one weight of each kind is chosen: M neighbours, or as many as
    there are inputs to a pair. Changes the last bits of `effect`: they take the place within the class, so that a
    minimum, which is ten times as fast without its index, brings it along.
    """
    columns = effect.shape[1]
    count = max(1, columns // SPACING)
    if pattern == "none":
        count = next(some for some in range(count, 0, -1) if columns % some == 0)
        size = columns // count
    else:
        size = int(pattern.split(":")[1])
    bits = 2 ** (size - 1).bit_length() - 1
    classes = effect.view(effect.shape[0], -1, size)
    places = torch.arange(size, dtype=torch.int32, device=effect.device)
    classes.view(torch.int32).bitwise_and_(~bits).bitwise_or_(places)
    back, out = ((effect + bar).view_as(classes).amin(dim=2) for bar in (kept, pruned))
    if pattern == "none":
        chosen = [back.argsort(dim=1), out.argsort(dim=1)]
    else:
        chosen = [(back + out).topk(min(count, back.shape[1]), dim=1, largest=False).indices] * 2
    return [
        chosen * size + (least.gather(1, chosen).view(torch.int32) & bits).clamp_(max=size - 1)
        for least, chosen in zip((back, out), chosen, strict=True)
    ]


def _product(columns, values, hessian):
    """Of rows that are zero but for some columns [rows, some] with the hessian: by those of its rows alone."""
    return torch.nn.functional.embedding_bag(columns, hessian, mode="sum", per_sample_weights=values)


def _swapped(hessian, columns, moved, pulled, forbidden):
    """Which pairs to swap [rows, pairs], 1 or 0: pair by pair, as long as the error falls.

    `columns`: of all weights to bring back, then of those to prune; `moved`, `pulled`: of these columns.
    """
    among = hessian.flatten().index_select(0, (columns.unsqueeze(2) * len(hessian) + columns.unsqueeze(1)).view(-1))
    mutual = among.view(*columns.shape, -1).mul_(moved.unsqueeze(1)).mul_(moved.unsqueeze(2))
    mutual = mutual.unflatten(2, (2, -1)).sum(dim=2).unflatten(1, (2, -1)).sum(dim=1).permute(1, 2, 0).contiguous()
    change = (2 * moved * pulled).unflatten(1, (2, -1)).sum(dim=1).add_(forbidden).T + mutual.diagonal().T
    swapped = torch.zeros_like(change)
    for pair, between in enumerate(mutual):
        swapped[pair] = change[pair] < 0
        change += 2 * swapped[pair] * between
    return swapped.T.contiguous()


def score(layer):
    W = layer.weight.abs()
    G = layer.gradient.abs()
    X = layer.input_norm
    M = layer.input_mean.abs()
    return exchange((W * (X + (G * M.pow(0.75)))), layer, GROUP, 8)


UNIT = "module"
KNOTS = [0.344, 0.141, -0.006, -0.097, -0.132, -0.11]
ROLES = {"q": -0.043, "up": -0.078}


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
