"""exchange(mul(|weight|, add(input variance, pow(input norm, 0.75))), 16), compared within each ro…

Discovered by autoprune 0.1.0 in the run 20261127-145844-smollm2-135m-60: g68.c1, c05a246d017cd611
(operator deepen, engine symbolic).

Thought
    idea: exchange(mul(|weight|, add(input variance, pow(input norm, 0.75))), 16), compared within
        each row; density over depth +0.349, +0.135, -0.015, -0.102, -0.125, -0.084, gate -0.138, k
        +0.196, q -0.059, up -0.055
    why: more rounds of exchanges make no mask worse, and a formula that won with few of them has
        more to gain
    expected: better

Lineage, oldest first (of several parents the one that measured best)
    g8.c1 initialise from nothing: exchange(mul(|weight|, add(pow(input variance, 1.5), input
        norm)), 2), compared within each row; density over depth +0.349, +0.135, -0.015, -0.102,
        -0.125, -0.084, gate -0.138, q -0.059 measured: perplexity 44.82, gain +0.148 over its
        parent
    g9.c3 allocation from g8.c1: exchange(mul(|weight|, add(pow(input variance, 1.5), input norm)),
        2), compared within each row; density over depth +0.349, +0.135, -0.015, -0.102, -0.125,
        -0.084, gate -0.138, q -0.059, up -0.055 measured: perplexity 43.44, gain +0.031 over its
        parent
    g24.c3 allocation from g9.c3: exchange(mul(|weight|, add(pow(input variance, 1.5), input norm)),
        2), compared within each row; density over depth +0.349, +0.135, -0.015, -0.102, -0.125,
        -0.084, gate -0.138, k +0.196, q -0.059, up -0.055 measured: perplexity 42.93, gain +0.012
        over its parent
    g32.c2 simplify from g24.c3: exchange(mul(|weight|, add(input variance, input norm)), 2),
        compared within each row; density over depth +0.349, +0.135, -0.015, -0.102, -0.125, -0.084,
        gate -0.138, k +0.196, q -0.059, up -0.055 measured: perplexity 43.02, gain -0.002 over its
        parent
    g61.c2 constants from g32.c2: exchange(mul(|weight|, add(input variance, pow(input norm,
        0.75))), 2), compared within each row; density over depth +0.349, +0.135, -0.015, -0.102,
        -0.125, -0.084, gate -0.138, k +0.196, q -0.059, up -0.055 measured: perplexity 42.28, gain
        +0.017 over its parent

Search
    model: smollm2-135m (fingerprint b7b7cb9bb7888c1f, bfloat16)
    sparsity: 0.6
    allocation where the source brings none: name sdsa, unit block, preset default, tune False
    text: builtin for search and report, builtin for calibration, 16 sequences of 512 tokens;
        statistics: dense
    windows: 8 for search, 16 for report
    seed: 0
    on the search split: measured: perplexity 33.12, gain +0.244 over its parent

Confirmation
Perplexity (lower is better)
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                      ┃ search split ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                          │        16.19 │        14.68 │                │       │   0.0000 │
│ g68.c1 c05a246d                │        33.12 │        31.39 │ 31.06 to 31.73 │     3 │   0.6000 │
│ gblm+atp tuned (block, beta    │        55.03 │        54.79 │ 54.47 to 55.03 │     3 │   0.6000 │
│ 0.00345)                       │              │              │                │       │          │
│ wanda+atp tuned (block, beta   │        55.03 │        54.81 │ 54.51 to 55.00 │     3 │   0.6000 │
│ 0.00345)                       │              │              │                │       │          │
│ gblm+sdsa tuned (block,        │        57.19 │        55.18 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.25, tau 1, delta 0.15,       │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ wanda+sdsa tuned (block,       │        57.33 │        55.44 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.25, tau 1, delta 0.15,       │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ gblm+dlp tuned (block, width   │        57.62 │        57.02 │                │     1 │   0.6000 │
│ 0.1)                           │              │              │                │       │          │
│ wanda+dlp tuned (block, width  │        57.82 │        57.21 │                │     1 │   0.6000 │
│ 0.1)                           │              │              │                │       │          │
│ wanda+owl tuned (block, lambda │        62.92 │        60.03 │                │     1 │   0.6000 │
│ 0.05, M 10)                    │              │              │                │       │          │
│ gblm+uniform                   │        62.90 │        60.32 │                │     1 │   0.6000 │
│ wanda+uniform                  │        63.23 │        60.43 │                │     1 │   0.6000 │
│ gblm+owl tuned (block, lambda  │        63.04 │        60.78 │                │     1 │   0.6000 │
│ 0.02, M 10)                    │              │              │                │       │          │
│ gblm+alphapruning tuned        │        62.95 │        61.04 │                │     1 │   0.6000 │
│ (block, epsilon 0.1)           │              │              │                │       │          │
│ wanda+alphapruning tuned       │        63.04 │        61.10 │                │     1 │   0.6000 │
│ (block, epsilon 0.1)           │              │              │                │       │          │
│ ria+atp tuned (block, beta     │        62.69 │        63.17 │                │     1 │   0.6000 │
│ 0.0069)                        │              │              │                │       │          │
│ ria+sdsa tuned (block,         │        72.31 │        66.49 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.5, tau 1, delta 0.15,        │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ pruner-zero+sdsa tuned (block, │        71.74 │        69.32 │                │     1 │   0.6000 │
│ skewness, compressed, kappa    │              │              │                │       │          │
│ 0.5, tau 1, delta 0.15,        │              │              │                │       │          │
│ staged)                        │              │              │                │       │          │
│ ria+dlp tuned (block, width    │        69.90 │        70.08 │                │     1 │   0.6000 │
│ 0.2)                           │              │              │                │       │          │
│ pruner-zero+atp tuned (block,  │        67.25 │        70.34 │                │     1 │   0.6000 │
│ beta 0.0069)                   │              │              │                │       │          │
│ pruner-zero+dlp tuned (block,  │        70.93 │        73.02 │                │     1 │   0.6000 │
│ width 0.15)                    │              │              │                │       │          │
│ ria+alphapruning tuned (block, │        80.65 │        75.74 │                │     1 │   0.6000 │
│ epsilon 0.15)                  │              │              │                │       │          │
│ pruner-zero+owl tuned (block,  │        78.11 │        77.75 │                │     1 │   0.6000 │
│ lambda 0.02, M 10)             │              │              │                │       │          │
│ pruner-zero+uniform            │        78.61 │        77.83 │                │     1 │   0.6000 │
│ pruner-zero+alphapruning tuned │        80.27 │        79.02 │                │     1 │   0.6000 │
│ (block, epsilon 0.05)          │              │              │                │       │          │
│ ria+owl tuned (block, lambda   │        90.10 │        82.47 │                │     1 │   0.6000 │
│ 0.02, M 10)                    │              │              │                │       │          │
│ ria+uniform                    │        88.83 │        83.40 │                │     1 │   0.6000 │
│ magnitude+sdsa (untuned)       │      4289.27 │      4616.71 │                │     1 │   0.6000 │
│ magnitude+uniform              │      7549.64 │      8544.40 │                │     1 │   0.6000 │
│ magnitude+owl (untuned)        │      8153.74 │      9803.67 │                │     1 │   0.6000 │
│ magnitude+atp (untuned)        │      9237.51 │     11488.41 │                │     1 │   0.6000 │
│ magnitude+dlp (untuned)        │     18191.61 │     21166.02 │                │     1 │   0.6000 │
│ magnitude+alphapruning         │     21208.36 │     23995.33 │                │     1 │   0.6000 │
│ (untuned)                      │              │              │                │       │          │
└────────────────────────────────┴──────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, report split
candidate       baseline                       seeds change %  95 % interval p (Holm) verdict
g68.c1 c05a246d wanda+atp tuned                    3    -42.7 -45.7 to -40.6   0.0380 better
g68.c1 c05a246d gblm+atp tuned                     3    -42.7 -45.7 to -40.5   0.0380 better
g68.c1 c05a246d gblm+sdsa tuned                    1    -42.5 -45.4 to -40.1   0.0380 better
g68.c1 c05a246d wanda+sdsa tuned                   1    -42.8 -45.7 to -40.2   0.0380 better
g68.c1 c05a246d gblm+dlp tuned                     1    -44.4 -47.9 to -41.7   0.0380 better
g68.c1 c05a246d wanda+dlp tuned                    1    -44.5 -48.0 to -41.9   0.0380 better
g68.c1 c05a246d ria+atp tuned                      1    -49.8 -52.3 to -46.6   0.0380 better
g68.c1 c05a246d gblm+uniform                       1    -47.4 -50.8 to -44.9   0.0380 better
g68.c1 c05a246d wanda+owl tuned                    1    -47.1 -49.8 to -44.6   0.0380 better
g68.c1 c05a246d gblm+alphapruning tuned            1    -48.0 -52.5 to -44.8   0.0380 better
g68.c1 c05a246d wanda+alphapruning tuned           1    -48.1 -52.5 to -44.9   0.0380 better
g68.c1 c05a246d gblm+owl tuned                     1    -47.8 -50.8 to -45.3   0.0380 better
g68.c1 c05a246d wanda+uniform                      1    -47.5 -51.0 to -45.0   0.0380 better
g68.c1 c05a246d pruner-zero+atp tuned              1    -54.9 -57.9 to -51.7   0.0380 better
g68.c1 c05a246d ria+dlp tuned                      1    -54.7 -57.1 to -52.2   0.0380 better
g68.c1 c05a246d pruner-zero+dlp tuned              1    -56.5 -60.5 to -53.4   0.0380 better
g68.c1 c05a246d pruner-zero+sdsa tuned             1    -54.2 -57.5 to -51.3   0.0380 better
g68.c1 c05a246d ria+sdsa tuned                     1    -52.3 -55.3 to -49.2   0.0380 better
g68.c1 c05a246d pruner-zero+owl tuned              1    -59.2 -62.7 to -56.4   0.0380 better
g68.c1 c05a246d pruner-zero+uniform                1    -59.2 -62.5 to -56.5   0.0380 better
g68.c1 c05a246d pruner-zero+alphapruning tuned     1    -59.8 -63.3 to -57.3   0.0380 better
g68.c1 c05a246d ria+alphapruning tuned             1    -58.1 -60.7 to -55.5   0.0380 better
g68.c1 c05a246d ria+uniform                        1    -61.9 -64.3 to -59.5   0.0380 better
g68.c1 c05a246d ria+owl tuned                      1    -61.5 -64.2 to -59.2   0.0380 better
g68.c1 c05a246d magnitude+sdsa                     1    -99.3 -99.5 to -99.1   0.0380 better
g68.c1 c05a246d magnitude+uniform                  1    -99.6 -99.7 to -99.5   0.0380 better
g68.c1 c05a246d magnitude+owl                      1    -99.7 -99.8 to -99.6   0.0380 better
g68.c1 c05a246d magnitude+atp                      1    -99.7 -99.8 to -99.6   0.0380 better
g68.c1 c05a246d magnitude+dlp                      1    -99.9 -99.9 to -99.8   0.0380 better
g68.c1 c05a246d magnitude+alphapruning             1    -99.9 -99.9 to -99.8   0.0380 better
smollm2-135m at sparsity 0.5
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                                     ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                                         │        14.68 │                │       │   0.0000 │
│ g68.c1 c05a246d                               │        21.13 │ 20.85 to 21.48 │     3 │   0.5000 │
│ gblm+atp tuned in the search (block, beta     │        26.88 │ 26.74 to 27.05 │     3 │   0.5000 │
│ 0.00345)                                      │              │                │       │          │
│ wanda+atp tuned in the search (block, beta    │        26.89 │ 26.77 to 27.02 │     3 │   0.5000 │
│ 0.00345)                                      │              │                │       │          │
│ gblm+sdsa tuned in the search (block,         │        27.11 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.25, tau 1,      │              │                │       │          │
│ delta 0.15, staged)                           │              │                │       │          │
│ wanda+sdsa tuned in the search (block,        │        27.14 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.25, tau 1,      │              │                │       │          │
│ delta 0.15, staged)                           │              │                │       │          │
│ wanda+dlp tuned in the search (block, width   │        27.21 │                │     1 │   0.5000 │
│ 0.1)                                          │              │                │       │          │
│ gblm+dlp tuned in the search (block, width    │        27.21 │                │     1 │   0.5000 │
│ 0.1)                                          │              │                │       │          │
│ gblm+owl tuned in the search (block, lambda   │        27.37 │                │     1 │   0.5000 │
│ 0.02, M 10)                                   │              │                │       │          │
│ wanda+owl tuned in the search (block, lambda  │        27.45 │                │     1 │   0.5000 │
│ 0.05, M 10)                                   │              │                │       │          │
│ gblm+alphapruning tuned in the search (block, │        27.68 │                │     1 │   0.5000 │
│ epsilon 0.1)                                  │              │                │       │          │
│ gblm+uniform                                  │        27.69 │                │     1 │   0.5000 │
│ wanda+alphapruning tuned in the search        │        27.71 │                │     1 │   0.5000 │
│ (block, epsilon 0.1)                          │              │                │       │          │
│ wanda+uniform                                 │        27.71 │                │     1 │   0.5000 │
│ ria+sdsa tuned in the search (block,          │        29.06 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, staged)                                 │              │                │       │          │
│ ria+owl tuned in the search (block, lambda    │        29.66 │                │     1 │   0.5000 │
│ 0.02, M 10)                                   │              │                │       │          │
│ ria+uniform                                   │        29.82 │                │     1 │   0.5000 │
│ ria+atp tuned in the search (block, beta      │        29.99 │                │     1 │   0.5000 │
│ 0.0069)                                       │              │                │       │          │
│ ria+alphapruning tuned in the search (block,  │        30.14 │                │     1 │   0.5000 │
│ epsilon 0.15)                                 │              │                │       │          │
│ pruner-zero+sdsa tuned in the search (block,  │        30.79 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, staged)                                 │              │                │       │          │
│ pruner-zero+atp tuned in the search (block,   │        30.94 │                │     1 │   0.5000 │
│ beta 0.0069)                                  │              │                │       │          │
│ pruner-zero+owl tuned in the search (block,   │        30.95 │                │     1 │   0.5000 │
│ lambda 0.02, M 10)                            │              │                │       │          │
│ pruner-zero+dlp tuned in the search (block,   │        30.98 │                │     1 │   0.5000 │
│ width 0.15)                                   │              │                │       │          │
│ pruner-zero+uniform                           │        31.59 │                │     1 │   0.5000 │
│ pruner-zero+alphapruning tuned in the search  │        31.66 │                │     1 │   0.5000 │
│ (block, epsilon 0.05)                         │              │                │       │          │
│ ria+dlp tuned in the search (block, width     │        31.92 │                │     1 │   0.5000 │
│ 0.2)                                          │              │                │       │          │
│ magnitude+owl (untuned)                       │       293.08 │                │     1 │   0.5000 │
│ magnitude+sdsa (untuned)                      │       301.90 │                │     1 │   0.5000 │
│ magnitude+uniform                             │       407.64 │                │     1 │   0.5000 │
│ magnitude+alphapruning (untuned)              │       434.05 │                │     1 │   0.5000 │
│ magnitude+dlp (untuned)                       │       474.10 │                │     1 │   0.5000 │
│ magnitude+atp (untuned)                       │      2530.08 │                │     1 │   0.5000 │
└───────────────────────────────────────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, smollm2-135m at sparsity 0.5
candidate       baseline                             seeds change %  95 % interval p (Holm) verdict
g68.c1 c05a246d wanda+atp tuned in the search            3    -21.4 -23.2 to -19.5   0.0380 better
g68.c1 c05a246d gblm+atp tuned in the search             3    -21.4 -23.2 to -19.4   0.0380 better
g68.c1 c05a246d gblm+sdsa tuned in the search            1    -20.8 -22.5 to -18.1   0.0380 better
g68.c1 c05a246d wanda+sdsa tuned in the search           1    -20.9 -22.6 to -18.4   0.0380 better
g68.c1 c05a246d gblm+dlp tuned in the search             1    -21.1 -23.2 to -19.1   0.0380 better
g68.c1 c05a246d wanda+dlp tuned in the search            1    -21.1 -23.3 to -19.0   0.0380 better
g68.c1 c05a246d ria+atp tuned in the search              1    -28.4 -30.8 to -25.4   0.0380 better
g68.c1 c05a246d gblm+uniform                             1    -22.4 -24.4 to -20.1   0.0380 better
g68.c1 c05a246d wanda+owl tuned in the search            1    -21.8 -23.4 to -19.6   0.0380 better
g68.c1 c05a246d gblm+alphapruning tuned in the           1    -22.4 -24.6 to -20.0   0.0380 better
                search
g68.c1 c05a246d wanda+alphapruning tuned in the          1    -22.5 -24.7 to -20.1   0.0380 better
                search
g68.c1 c05a246d gblm+owl tuned in the search             1    -21.5 -23.4 to -19.2   0.0380 better
g68.c1 c05a246d wanda+uniform                            1    -22.5 -24.5 to -20.2   0.0380 better
g68.c1 c05a246d pruner-zero+atp tuned in the search      1    -30.6 -33.2 to -27.5   0.0380 better
g68.c1 c05a246d ria+dlp tuned in the search              1    -32.7 -35.3 to -29.8   0.0380 better
g68.c1 c05a246d pruner-zero+dlp tuned in the search      1    -30.7 -33.2 to -28.3   0.0380 better
g68.c1 c05a246d pruner-zero+sdsa tuned in the search     1    -30.2 -32.1 to -27.8   0.0380 better
g68.c1 c05a246d ria+sdsa tuned in the search             1    -26.1 -28.6 to -22.8   0.0380 better
g68.c1 c05a246d pruner-zero+owl tuned in the search      1    -30.6 -32.2 to -27.4   0.0380 better
g68.c1 c05a246d pruner-zero+uniform                      1    -32.0 -33.6 to -28.7   0.0380 better
g68.c1 c05a246d pruner-zero+alphapruning tuned in        1    -32.2 -33.7 to -29.8   0.0380 better
                the search
g68.c1 c05a246d ria+alphapruning tuned in the search     1    -28.7 -30.7 to -25.6   0.0380 better
g68.c1 c05a246d ria+uniform                              1    -28.0 -29.9 to -24.3   0.0380 better
g68.c1 c05a246d ria+owl tuned in the search              1    -27.6 -29.6 to -24.4   0.0380 better
g68.c1 c05a246d magnitude+sdsa                           1    -92.9 -93.7 to -91.9   0.0380 better
g68.c1 c05a246d magnitude+uniform                        1    -94.7 -95.3 to -93.9   0.0380 better
g68.c1 c05a246d magnitude+owl                            1    -92.7 -93.6 to -91.8   0.0380 better
g68.c1 c05a246d magnitude+atp                            1    -99.2 -99.3 to -99.0   0.0380 better
g68.c1 c05a246d magnitude+dlp                            1    -95.5 -95.9 to -94.9   0.0380 better
g68.c1 c05a246d magnitude+alphapruning                   1    -95.1 -95.5 to -94.5   0.0380 better
smollm2-135m at sparsity 0.7
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                                   ┃ report split ┃       over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                                       │        14.68 │                  │       │   0.0000 │
│ g68.c1 c05a246d                             │        67.45 │   64.85 to 69.34 │     3 │   0.7000 │
│ wanda+atp tuned in the search (block, beta  │       225.71 │ 222.80 to 228.98 │     3 │   0.7000 │
│ 0.00345)                                    │              │                  │       │          │
│ gblm+atp tuned in the search (block, beta   │       225.96 │ 221.11 to 228.77 │     3 │   0.7000 │
│ 0.00345)                                    │              │                  │       │          │
│ pruner-zero+atp tuned in the search (block, │       242.80 │                  │     1 │   0.7000 │
│ beta 0.0069)                                │              │                  │       │          │
│ wanda+sdsa tuned in the search (block,      │       259.52 │                  │     1 │   0.7000 │
│ skewness, compressed, kappa 0.25, tau 1,    │              │                  │       │          │
│ delta 0.15, staged)                         │              │                  │       │          │
│ gblm+sdsa tuned in the search (block,       │       262.53 │                  │     1 │   0.7000 │
│ skewness, compressed, kappa 0.25, tau 1,    │              │                  │       │          │
│ delta 0.15, staged)                         │              │                  │       │          │
│ gblm+dlp tuned in the search (block, width  │       267.89 │                  │     1 │   0.7000 │
│ 0.1)                                        │              │                  │       │          │
│ wanda+dlp tuned in the search (block, width │       268.83 │                  │     1 │   0.7000 │
│ 0.1)                                        │              │                  │       │          │
│ gblm+alphapruning tuned in the search       │       276.36 │                  │     1 │   0.7000 │
│ (block, epsilon 0.1)                        │              │                  │       │          │
│ ria+atp tuned in the search (block, beta    │       277.61 │                  │     1 │   0.7000 │
│ 0.0069)                                     │              │                  │       │          │
│ wanda+alphapruning tuned in the search      │       283.30 │                  │     1 │   0.7000 │
│ (block, epsilon 0.1)                        │              │                  │       │          │
│ pruner-zero+sdsa tuned in the search        │       299.23 │                  │     1 │   0.7000 │
│ (block, skewness, compressed, kappa 0.5,    │              │                  │       │          │
│ tau 1, delta 0.15, staged)                  │              │                  │       │          │
│ ria+sdsa tuned in the search (block,        │       327.77 │                  │     1 │   0.7000 │
│ skewness, compressed, kappa 0.5, tau 1,     │              │                  │       │          │
│ delta 0.15, staged)                         │              │                  │       │          │
│ wanda+owl tuned in the search (block,       │       331.53 │                  │     1 │   0.7000 │
│ lambda 0.05, M 10)                          │              │                  │       │          │
│ gblm+owl tuned in the search (block, lambda │       343.41 │                  │     1 │   0.7000 │
│ 0.02, M 10)                                 │              │                  │       │          │
│ ria+dlp tuned in the search (block, width   │       345.80 │                  │     1 │   0.7000 │
│ 0.2)                                        │              │                  │       │          │
│ gblm+uniform                                │       360.85 │                  │     1 │   0.7000 │
│ wanda+uniform                               │       360.86 │                  │     1 │   0.7000 │
│ pruner-zero+dlp tuned in the search (block, │       392.07 │                  │     1 │   0.7000 │
│ width 0.15)                                 │              │                  │       │          │
│ pruner-zero+alphapruning tuned in the       │       497.77 │                  │     1 │   0.7000 │
│ search (block, epsilon 0.05)                │              │                  │       │          │
│ ria+alphapruning tuned in the search        │       528.90 │                  │     1 │   0.7000 │
│ (block, epsilon 0.15)                       │              │                  │       │          │
│ pruner-zero+owl tuned in the search (block, │       566.40 │                  │     1 │   0.7000 │
│ lambda 0.02, M 10)                          │              │                  │       │          │
│ pruner-zero+uniform                         │       570.81 │                  │     1 │   0.7000 │
│ ria+uniform                                 │       742.24 │                  │     1 │   0.7000 │
│ ria+owl tuned in the search (block, lambda  │       744.12 │                  │     1 │   0.7000 │
│ 0.02, M 10)                                 │              │                  │       │          │
│ magnitude+atp (untuned)                     │     99849.09 │                  │     1 │   0.7000 │
│ magnitude+sdsa (untuned)                    │    146398.12 │                  │     1 │   0.7000 │
│ magnitude+owl (untuned)                     │    151581.44 │                  │     1 │   0.7000 │
│ magnitude+dlp (untuned)                     │    151633.48 │                  │     1 │   0.7000 │
│ magnitude+uniform                           │    270142.22 │                  │     1 │   0.7000 │
│ magnitude+alphapruning (untuned)            │    650348.56 │                  │     1 │   0.7000 │
└─────────────────────────────────────────────┴──────────────┴──────────────────┴───────┴──────────┘
Candidates against baselines, smollm2-135m at sparsity 0.7
candidate       baseline                           seeds change %    95 % interval p (Holm) verdict
g68.c1 c05a246d wanda+atp tuned in the search          3    -70.1   -73.1 to -67.7   0.0380 better
g68.c1 c05a246d gblm+atp tuned in the search           3    -70.1   -73.1 to -67.8   0.0380 better
g68.c1 c05a246d gblm+sdsa tuned in the search          1    -74.0   -77.1 to -71.2   0.0380 better
g68.c1 c05a246d wanda+sdsa tuned in the search         1    -73.7   -76.9 to -70.8   0.0380 better
g68.c1 c05a246d gblm+dlp tuned in the search           1    -74.5   -76.7 to -72.6   0.0380 better
g68.c1 c05a246d wanda+dlp tuned in the search          1    -74.6   -76.8 to -72.6   0.0380 better
g68.c1 c05a246d ria+atp tuned in the search            1    -75.4   -78.0 to -72.7   0.0380 better
g68.c1 c05a246d gblm+uniform                           1    -81.1   -83.1 to -79.7   0.0380 better
g68.c1 c05a246d wanda+owl tuned in the search          1    -79.4   -81.3 to -78.0   0.0380 better
g68.c1 c05a246d gblm+alphapruning tuned in the         1    -75.3   -77.9 to -73.4   0.0380 better
                search
g68.c1 c05a246d wanda+alphapruning tuned in the        1    -75.9   -79.0 to -73.9   0.0380 better
                search
g68.c1 c05a246d gblm+owl tuned in the search           1    -80.1   -81.8 to -78.7   0.0380 better
g68.c1 c05a246d wanda+uniform                          1    -81.1   -83.1 to -79.7   0.0380 better
g68.c1 c05a246d pruner-zero+atp tuned in the           1    -71.9   -74.9 to -68.5   0.0380 better
                search
g68.c1 c05a246d ria+dlp tuned in the search            1    -80.3   -82.7 to -78.1   0.0380 better
g68.c1 c05a246d pruner-zero+dlp tuned in the           1    -82.6   -85.2 to -80.4   0.0380 better
                search
g68.c1 c05a246d pruner-zero+sdsa tuned in the          1    -77.2   -80.4 to -74.5   0.0380 better
                search
g68.c1 c05a246d ria+sdsa tuned in the search           1    -79.2   -82.2 to -75.6   0.0380 better
g68.c1 c05a246d pruner-zero+owl tuned in the           1    -87.9   -89.6 to -86.8   0.0380 better
                search
g68.c1 c05a246d pruner-zero+uniform                    1    -88.0   -89.8 to -86.9   0.0380 better
g68.c1 c05a246d pruner-zero+alphapruning tuned in      1    -86.3   -88.2 to -84.9   0.0380 better
                the search
g68.c1 c05a246d ria+alphapruning tuned in the          1    -87.1   -88.7 to -85.9   0.0380 better
                search
g68.c1 c05a246d ria+uniform                            1    -90.8   -92.1 to -89.7   0.0380 better
g68.c1 c05a246d ria+owl tuned in the search            1    -90.8   -92.1 to -89.6   0.0380 better
g68.c1 c05a246d magnitude+sdsa                         1   -100.0  -100.0 to -99.9   0.0380 better
g68.c1 c05a246d magnitude+uniform                      1   -100.0 -100.0 to -100.0   0.0380 better
g68.c1 c05a246d magnitude+owl                          1   -100.0  -100.0 to -99.9   0.0380 better
g68.c1 c05a246d magnitude+atp                          1    -99.9  -100.0 to -99.9   0.0380 better
g68.c1 c05a246d magnitude+dlp                          1   -100.0  -100.0 to -99.9   0.0380 better
g68.c1 c05a246d magnitude+alphapruning                 1   -100.0 -100.0 to -100.0   0.0380 better
smollm2-135m under the pattern 2:4
┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm       ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense           │        14.68 │                │       │   0.0000 │
│ g68.c1 c05a246d │        42.03 │ 40.80 to 42.70 │     3 │   0.5000 │
│ wanda           │        82.71 │ 81.99 to 83.42 │     3 │   0.5000 │
│ gblm            │        83.25 │ 82.70 to 84.34 │     3 │   0.5000 │
│ ria             │        99.10 │                │     1 │   0.5000 │
│ pruner-zero     │       109.03 │                │     1 │   0.5000 │
│ magnitude       │      1914.30 │                │     1 │   0.5000 │
└─────────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, smollm2-135m under the pattern 2:4
candidate       baseline    seeds change %  95 % interval p (Holm) verdict
g68.c1 c05a246d wanda           3    -49.2 -51.4 to -47.0   0.0380 better
g68.c1 c05a246d gblm            3    -49.5 -51.6 to -47.4   0.0380 better
g68.c1 c05a246d ria             1    -58.8 -62.2 to -55.7   0.0380 better
g68.c1 c05a246d pruner-zero     1    -62.6 -64.9 to -60.1   0.0380 better
g68.c1 c05a246d magnitude       1    -97.9 -98.2 to -97.4   0.0380 better
seeds: calibration samples that both were measured with; paired bootstrap-t over windows, two-sided
(16 windows of 512 tokens); better or worse: p at most 0.05 after Holm's correction for 190
comparisons; intervals are not corrected

Confirmation on an architecture that the search never saw, by the run 20261127-184425-smollm2-135m-60,
a fork of this one
qwen2.5-coder-1.5b at sparsity 0.6, 16 windows
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                                         ┃ report split ┃ over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                                             │         6.41 │            │       │   0.0000 │
│ g68.c1 c05a246d                                   │        11.36 │            │     1 │   0.6000 │
│ pruner-zero+owl tuned in the search (block,       │        13.02 │            │     1 │   0.6000 │
│ lambda 0.02, M 10)                                │              │            │       │          │
│ pruner-zero+sdsa tuned in the search (block,      │        13.26 │            │     1 │   0.6000 │
│ skewness, compressed, kappa 0.5, tau 1, delta     │              │            │       │          │
│ 0.15, staged)                                     │              │            │       │          │
│ wanda+owl tuned in the search (block, lambda      │        13.40 │            │     1 │   0.6000 │
│ 0.05, M 10)                                       │              │            │       │          │
│ pruner-zero+atp tuned in the search (block, beta  │        13.42 │            │     1 │   0.6000 │
│ 0.0069)                                           │              │            │       │          │
│ pruner-zero+uniform                               │        13.46 │            │     1 │   0.6000 │
│ gblm+atp tuned in the search (block, beta         │        13.53 │            │     1 │   0.6000 │
│ 0.00345)                                          │              │            │       │          │
│ wanda+atp tuned in the search (block, beta        │        13.55 │            │     1 │   0.6000 │
│ 0.00345)                                          │              │            │       │          │
│ pruner-zero+alphapruning tuned in the search      │        13.95 │            │     1 │   0.6000 │
│ (block, epsilon 0.05)                             │              │            │       │          │
│ pruner-zero+dlp tuned in the search (block, width │        14.45 │            │     1 │   0.6000 │
│ 0.15)                                             │              │            │       │          │
│ gblm+owl tuned in the search (block, lambda 0.02, │        15.14 │            │     1 │   0.6000 │
│ M 10)                                             │              │            │       │          │
│ ria+atp tuned in the search (block, beta 0.0069)  │        15.69 │            │     1 │   0.6000 │
│ wanda+sdsa tuned in the search (block, skewness,  │        15.99 │            │     1 │   0.6000 │
│ compressed, kappa 0.25, tau 1, delta 0.15,        │              │            │       │          │
│ staged)                                           │              │            │       │          │
│ gblm+sdsa tuned in the search (block, skewness,   │        16.01 │            │     1 │   0.6000 │
│ compressed, kappa 0.25, tau 1, delta 0.15,        │              │            │       │          │
│ staged)                                           │              │            │       │          │
│ ria+sdsa tuned in the search (block, skewness,    │        17.30 │            │     1 │   0.6000 │
│ compressed, kappa 0.5, tau 1, delta 0.15, staged) │              │            │       │          │
│ ria+owl tuned in the search (block, lambda 0.02,  │        17.77 │            │     1 │   0.6000 │
│ M 10)                                             │              │            │       │          │
│ gblm+uniform                                      │        17.93 │            │     1 │   0.6000 │
│ wanda+uniform                                     │        18.05 │            │     1 │   0.6000 │
│ gblm+dlp tuned in the search (block, width 0.1)   │        19.81 │            │     1 │   0.6000 │
│ ria+uniform                                       │        19.95 │            │     1 │   0.6000 │
│ wanda+dlp tuned in the search (block, width 0.1)  │        21.42 │            │     1 │   0.6000 │
│ gblm+alphapruning tuned in the search (block,     │        32.93 │            │     1 │   0.6000 │
│ epsilon 0.1)                                      │              │            │       │          │
│ wanda+alphapruning tuned in the search (block,    │        33.05 │            │     1 │   0.6000 │
│ epsilon 0.1)                                      │              │            │       │          │
│ ria+dlp tuned in the search (block, width 0.2)    │        45.09 │            │     1 │   0.6000 │
│ magnitude+atp (untuned)                           │        50.19 │            │     1 │   0.6000 │
│ magnitude+owl (untuned)                           │        50.80 │            │     1 │   0.6000 │
│ magnitude+sdsa (untuned)                          │        66.43 │            │     1 │   0.6000 │
│ ria+alphapruning tuned in the search (block,      │        73.24 │            │     1 │   0.6000 │
│ epsilon 0.15)                                     │              │            │       │          │
│ magnitude+uniform                                 │        84.15 │            │     1 │   0.6000 │
│ magnitude+dlp (untuned)                           │       108.62 │            │     1 │   0.6000 │
│ magnitude+alphapruning (untuned)                  │      2516.72 │            │     1 │   0.6000 │
└───────────────────────────────────────────────────┴──────────────┴────────────┴───────┴──────────┘
Candidates against baselines, qwen2.5-coder-1.5b at sparsity 0.6, 16 windows
candidate       baseline                            seeds change %   95 % interval p (Holm) verdict
g68.c1 c05a246d wanda+atp tuned in the search           1    -16.2  -23.0 to -12.4   0.0120 better
g68.c1 c05a246d gblm+atp tuned in the search            1    -16.1  -22.4 to -12.3   0.0120 better
g68.c1 c05a246d gblm+sdsa tuned in the search           1    -29.0  -67.8 to -15.0   0.0120 better
g68.c1 c05a246d wanda+sdsa tuned in the search          1    -29.0  -69.3 to -14.7   0.0120 better
g68.c1 c05a246d gblm+dlp tuned in the search            1    -42.7  -73.8 to -26.5   0.0120 better
g68.c1 c05a246d wanda+dlp tuned in the search           1    -47.0  -80.4 to -28.5   0.0120 better
g68.c1 c05a246d ria+atp tuned in the search             1    -27.6  -33.0 to -24.1   0.0120 better
g68.c1 c05a246d gblm+uniform                            1    -36.6  -59.1 to -23.4   0.0120 better
g68.c1 c05a246d wanda+owl tuned in the search           1    -15.2  -25.6 to -10.1   0.0120 better
g68.c1 c05a246d gblm+alphapruning tuned in the          1    -65.5  -82.2 to -45.0   0.0120 better
                search
g68.c1 c05a246d wanda+alphapruning tuned in the         1    -65.6  -81.8 to -45.8   0.0120 better
                search
g68.c1 c05a246d gblm+owl tuned in the search            1    -25.0  -36.6 to -17.0   0.0120 better
g68.c1 c05a246d wanda+uniform                           1    -37.1  -57.3 to -23.9   0.0120 better
g68.c1 c05a246d pruner-zero+atp tuned in the search     1    -15.3  -18.0 to -12.8   0.0120 better
g68.c1 c05a246d ria+dlp tuned in the search             1    -74.8  -93.5 to -51.3   0.0120 better
g68.c1 c05a246d pruner-zero+dlp tuned in the search     1    -21.4  -33.0 to -16.8   0.0120 better
g68.c1 c05a246d pruner-zero+sdsa tuned in the           1    -14.3  -19.2 to -10.9   0.0120 better
                search
g68.c1 c05a246d ria+sdsa tuned in the search            1    -34.4  -65.0 to -25.6   0.0120 better
g68.c1 c05a246d pruner-zero+owl tuned in the search     1    -12.8   -19.4 to -8.9   0.0120 better
g68.c1 c05a246d pruner-zero+uniform                     1    -15.6  -30.8 to -10.2   0.0120 better
g68.c1 c05a246d pruner-zero+alphapruning tuned in       1    -18.6  -43.9 to -12.2   0.0120 better
                the search
g68.c1 c05a246d ria+alphapruning tuned in the           1    -84.5  -94.1 to -67.4   0.0120 better
                search
g68.c1 c05a246d ria+uniform                             1    -43.1  -68.7 to -30.3   0.0120 better
g68.c1 c05a246d ria+owl tuned in the search             1    -36.1  -53.6 to -26.0   0.0120 better
g68.c1 c05a246d magnitude+sdsa                          1    -82.9  -99.8 to -72.7   0.0120 better
g68.c1 c05a246d magnitude+uniform                       1    -86.5 -100.0 to -76.6   0.0120 better
g68.c1 c05a246d magnitude+owl                           1    -77.6  -99.0 to -68.1   0.0120 better
g68.c1 c05a246d magnitude+atp                           1    -77.4  -80.1 to -75.0   0.0120 better
g68.c1 c05a246d magnitude+dlp                           1    -89.5  -99.9 to -82.4   0.0120 better
g68.c1 c05a246d magnitude+alphapruning                  1    -99.5  -99.7 to -98.0   0.0120 better
seeds: calibration samples that both were measured with; paired bootstrap-t over windows, two-sided
(16 windows of 512 tokens); better or worse: p at most 0.05 after Holm's correction for 60
comparisons; intervals are not corrected

Use
    autoprune prune --model smollm2-135m --algorithm exchange_by_variance.py --sparsity 0.6 \\
        --allocation own --out pruned
    autoprune compare --model smollm2-135m --algorithms exchange_by_variance.py,wanda --sparsity 0.6 \\
        --allocations own,sdsa
"""

"""Score: exchange(mul(|weight|, add(input variance, pow(input norm, 0.75))), 16)."""

import torch

GROUP = "row"


SPACING = 288
NEVER = 2.0**100


def exchange(score, layer, group, rounds):
    """The mask that a score gives, improved row by row, as scores: kept weights above 1/2, pruned ones below.

    With p the pruned part of a row, the error of the layer's output is p H p^T. A round lists pairs of a pruned and a
    kept weight that would do well to change places (one pair for every SPACING inputs, or a few more), by p H of the
    whole row, and decides on a row's pairs one after the other, each in the light of those before it. Few pairs, for
    the next round knows what these did to p H. No row ever gets worse. Under a pattern N:M both weights of a pair are
    of the same M neighbours.
    Optimal single exchanges by the Gram matrix are SparseSwaps (Zimmer et al., arXiv 2512.10922).
    """
    weight, hessian, diagonal = layer.weight, layer.hessian, layer.hessian.diagonal()
    kept = _first_mask(score, layer, group)
    # What p gains at a weight that changes its place, and what that does to the error: to come back, or to be pruned.
    pruned = 1 - kept
    step = torch.addcmul(weight, weight, pruned, value=-2)
    effect = ((weight - step) @ hessian).addcmul_(step, diagonal).mul_(step)
    back, out = torch.add(effect, kept, alpha=NEVER), effect.add_(pruned, alpha=NEVER)
    for left in reversed(range(rounds)):
        columns, effects = _pairs(back, out, layer.pattern)
        moved, was_kept = step.gather(1, columns), kept.gather(1, columns)
        alone = moved.square() * diagonal[columns]
        swapped = _swapped(hessian, columns, moved, effects - alone).repeat(1, 2)
        kept.scatter_(1, columns, (was_kept - swapped).abs())
        if not left:
            break
        gain = _product(columns, 2 * moved * swapped, hessian)
        now = [each.addcmul_(gain, step).gather(1, columns) for each in (back, out)]
        # A weight that has changed its place may only change it back, and its step has turned round.
        turned = 2 * alone - torch.minimum(*now)
        for each, old, bar in zip((back, out), now, (1 - was_kept, was_kept), strict=True):
            each.scatter_(1, columns, torch.where(swapped > 0, torch.add(turned, bar, alpha=NEVER), old))
        step.scatter_(1, columns, moved - 2 * moved * swapped)
    largest = torch.stack(score.aminmax()).abs().max().clamp_min(1e-30)
    return kept.add_(score, alpha=0.25 / float(largest))


def _first_mask(score, layer, group):
    """1 where a weight is kept, else 0."""
    if layer.pattern == "none":
        rows = score if group == "row" else score.reshape(1, -1)
        most = rows.shape[1] - round(layer.sparsity * rows.shape[1])
    else:
        most, of = map(int, layer.pattern.split(":"))
        rows = score.reshape(-1, of)
    if most == 0:
        return torch.zeros_like(score)
    first = torch.ge(rows, _lowest_kept(rows, most), out=torch.empty_like(rows))
    if (first.sum(dim=1) > most).any():  # of equal scores some are kept
        best = rows.topk(most, dim=1, sorted=False).indices
        first = torch.zeros_like(rows).scatter_(1, best, 1.0)
    return first.view_as(score)


def _lowest_kept(rows, most):
    """The lowest of the `most` highest of each row [rows, 1], on the CPU by NumPy, whose selection is vectorised."""
    if rows.is_cuda:
        return rows.kthvalue(rows.shape[1] - most + 1, dim=1, keepdim=True).values
    ordered = rows.clone()
    ordered.numpy().partition(rows.shape[1] - most, axis=1)
    return ordered[:, -most, None]


def _pairs(back, out, pattern):
    """Columns of weights to bring back, then of those to prune instead, [rows, 2 * pairs], and their effects.

    The columns are split into classes, within which one weight of each kind is chosen: M neighbours, or as many as
    there are inputs to a pair.
    """
    columns = back.shape[1]
    count = max(1, columns // SPACING)
    if pattern == "none":
        count = next(some for some in range(count, 0, -1) if columns % some == 0)
        size = columns // count
    else:
        size = int(pattern.split(":")[1])
    least = [_least(each.view(len(each), -1, size)) for each in (back, out)]
    if pattern == "none":
        chosen = [effect.argsort(dim=1) for effect, _ in least]
    else:
        count = min(count, columns // size)
        chosen = [(least[0][0] + least[1][0]).topk(count, dim=1, largest=False).indices] * 2
    columns = [each * size + place.gather(1, each) for (_, place), each in zip(least, chosen, strict=True)]
    effects = [effect.gather(1, each) for (effect, _), each in zip(least, chosen, strict=True)]
    return torch.cat(columns, dim=1), torch.cat(effects, dim=1)


def _least(classes):
    """The least of each class [rows, classes, size] and its place in it, both [rows, classes].

    On the CPU by NumPy, whose search for a place is vectorised.
    """
    place = classes.argmin(dim=2) if classes.is_cuda else torch.from_numpy(classes.numpy().argmin(axis=2))
    return classes.gather(2, place.unsqueeze(2)).squeeze(2), place


def _product(columns, values, hessian):
    """Of rows that are zero but for some columns [rows, some] with the hessian: by those of its rows alone."""
    return torch.nn.functional.embedding_bag(columns, hessian, mode="sum", per_sample_weights=values)


def _swapped(hessian, columns, moved, pulled):
    """Which pairs to swap [rows, pairs], 1 or 0: pair by pair, as long as the error falls.

    `columns`: of all weights to bring back, then of those to prune; `moved`: their steps, `pulled`: 2 p H of them.
    """
    among = hessian.flatten().index_select(0, (columns.unsqueeze(2) * len(hessian) + columns.unsqueeze(1)).view(-1))
    mutual = among.view(*columns.shape, -1).mul_(moved.unsqueeze(1)).mul_(moved.unsqueeze(2))
    mutual = mutual.unflatten(2, (2, -1)).sum(dim=2).unflatten(1, (2, -1)).sum(dim=1).permute(1, 2, 0).contiguous()
    change = pulled.unflatten(1, (2, -1)).sum(dim=1).T + mutual.diagonal().T
    swapped = torch.zeros_like(change)
    for pair, between in enumerate(mutual):
        swapped[pair] = change[pair] < 0
        change += 2 * swapped[pair] * between
    return swapped.T.contiguous()


def score(layer):
    W = layer.weight.abs()
    X = layer.input_norm
    V = layer.input_var
    return exchange((W * (V + X.pow(0.75))), layer, GROUP, 16)


UNIT = "module"
KNOTS = [0.349, 0.135, -0.015, -0.102, -0.125, -0.084]
ROLES = {"gate": -0.138, "q": -0.059, "up": -0.055, "k": 0.196}


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
