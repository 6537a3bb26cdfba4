"""exchange(mul(|weight|, add(add(input norm, column_share(|weight|)), input norm)), 16), compared…

Discovered by autoprune 0.1.0 in the run 20261127-191717-smollm2-135m-70: g68.c1, 1d5bcd4d5d519162
(operator deepen, engine symbolic).

Thought
    idea: exchange(mul(|weight|, add(add(input norm, column_share(|weight|)), input norm)), 16),
        compared within each row; density over depth +0.212, +0.11, +0.023, -0.05, -0.108, -0.151,
        down +0.135, k +0.039, o -0.087
    why: exchanges make no mask worse, and what won with few rounds of them or none has more to gain
    expected: better

Lineage, oldest first (of several parents the one that measured best)
    seed.gblm: a published score
    g2.c2 structure from seed.gblm: exchange(mul(|weight|, add(input norm, mul(|gradient|, 100))),
        2), compared within each row measured: perplexity 131.40, gain +0.498 over its parent
    g8.c2 structure from g2.c2: exchange(mul(|weight|, add(input norm, mul(mul(|gradient|, 100),
        row_norm(pow(|weight|, 0.25))))), 2), compared within each row measured: perplexity 127.01,
        gain +0.034 over its parent
    g12.c2 simplify from g8.c2: exchange(mul(|weight|, add(input norm, mul(mul(|gradient|, 100),
        row_norm(|weight|)))), 2), compared within each row measured: perplexity 128.88, gain -0.015
        over its parent
    g33.c2 structure from g12.c2: exchange(mul(|weight|, add(input norm, |weight|)), 2), compared
        within each row measured: perplexity 126.79, gain +0.016 over its parent
    g40.c3 structure from g33.c2: exchange(mul(|weight|, add(add(input norm, |weight|), input
        norm)), 2), compared within each row measured: perplexity 127.77, gain -0.008 over its
        parent
    g41.c1 allocation from g40.c3: exchange(mul(|weight|, add(add(input norm, |weight|), input
        norm)), 2), compared within each row; density over depth +0.212, +0.11, +0.023, -0.05,
        -0.108, -0.151, down +0.135, o -0.087 measured: perplexity 127.71, gain +0.000 over its
        parent
    g47.c1 structure from g41.c1: exchange(mul(|weight|, add(add(input norm,
        column_share(|weight|)), input norm)), 2), compared within each row; density over depth
        +0.212, +0.11, +0.023, -0.05, -0.108, -0.151, down +0.135, o -0.087 measured: perplexity
        123.80, gain +0.031 over its parent
    g66.c1 allocation from g47.c1: exchange(mul(|weight|, add(add(input norm,
        column_share(|weight|)), input norm)), 2), compared within each row; density over depth
        +0.212, +0.11, +0.023, -0.05, -0.108, -0.151, down +0.135, k +0.039, o -0.087 measured:
        perplexity 121.91, gain +0.015 over its parent

Search
    model: smollm2-135m (fingerprint b7b7cb9bb7888c1f, bfloat16)
    sparsity: 0.7
    allocation where the source brings none: name sdsa, unit block, preset default, tune False
    text: builtin for search and report, builtin for calibration, 16 sequences of 512 tokens;
        statistics: dense
    windows: 8 for search, 16 for report
    seed: 0
    on the search split: measured: perplexity 75.56, gain +0.478 over its parent

Confirmation
Perplexity (lower is better)
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                    ┃ search split ┃ report split ┃       over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                        │        16.19 │        14.68 │                  │       │   0.0000 │
│ g68.c1 1d5bcd4d              │        75.56 │        75.79 │   73.69 to 79.49 │     3 │   0.7000 │
│ gblm+atp tuned (block, beta  │       165.44 │       172.62 │ 171.65 to 173.93 │     3 │   0.7000 │
│ 0.00776)                     │              │              │                  │       │          │
│ wanda+atp tuned (block, beta │       165.63 │       177.34 │ 171.33 to 181.53 │     3 │   0.7000 │
│ 0.0103)                      │              │              │                  │       │          │
│ wanda+sdsa tuned (block,     │       187.07 │       200.41 │                  │     1 │   0.7000 │
│ skewness, compressed, kappa  │              │              │                  │       │          │
│ 0.5, tau 1, delta 0.15,      │              │              │                  │       │          │
│ staged)                      │              │              │                  │       │          │
│ gblm+sdsa tuned (block,      │       189.68 │       203.87 │                  │     1 │   0.7000 │
│ skewness, compressed, kappa  │              │              │                  │       │          │
│ 0.5, tau 1, delta 0.15,      │              │              │                  │       │          │
│ staged)                      │              │              │                  │       │          │
│ gblm+dlp tuned (block, width │       207.67 │       219.35 │                  │     1 │   0.7000 │
│ 0.2)                         │              │              │                  │       │          │
│ wanda+dlp tuned (block,      │       208.98 │       220.72 │                  │     1 │   0.7000 │
│ width 0.2)                   │              │              │                  │       │          │
│ pruner-zero+atp tuned        │       212.16 │       244.18 │                  │     1 │   0.7000 │
│ (block, beta 0.0103)         │              │              │                  │       │          │
│ ria+sdsa tuned (block,       │       271.63 │       270.63 │                  │     1 │   0.7000 │
│ skewness, compressed, kappa  │              │              │                  │       │          │
│ 0.5, tau 0.5, delta 0.15,    │              │              │                  │       │          │
│ static)                      │              │              │                  │       │          │
│ ria+atp tuned (block, beta   │       251.61 │       271.65 │                  │     1 │   0.7000 │
│ 0.0103)                      │              │              │                  │       │          │
│ wanda+alphapruning tuned     │       282.36 │       295.29 │                  │     1 │   0.7000 │
│ (block, epsilon 0.05)        │              │              │                  │       │          │
│ gblm+alphapruning tuned      │       281.91 │       295.57 │                  │     1 │   0.7000 │
│ (block, epsilon 0.05)        │              │              │                  │       │          │
│ pruner-zero+sdsa tuned       │       289.07 │       298.21 │                  │     1 │   0.7000 │
│ (block, skewness,            │              │              │                  │       │          │
│ compressed, kappa 0.5, tau   │              │              │                  │       │          │
│ 1, delta 0.15, static)       │              │              │                  │       │          │
│ gblm+owl tuned (block,       │       300.07 │       305.91 │                  │     1 │   0.7000 │
│ lambda 0.12, M 10)           │              │              │                  │       │          │
│ wanda+owl tuned (block,      │       304.06 │       309.67 │                  │     1 │   0.7000 │
│ lambda 0.12, M 10)           │              │              │                  │       │          │
│ ria+dlp tuned (block, width  │       328.74 │       345.80 │                  │     1 │   0.7000 │
│ 0.2)                         │              │              │                  │       │          │
│ pruner-zero+dlp tuned        │       309.06 │       354.72 │                  │     1 │   0.7000 │
│ (block, width 0.25)          │              │              │                  │       │          │
│ gblm+uniform                 │       334.25 │       360.85 │                  │     1 │   0.7000 │
│ wanda+uniform                │       332.78 │       360.86 │                  │     1 │   0.7000 │
│ pruner-zero+alphapruning     │       409.95 │       397.24 │                  │     1 │   0.7000 │
│ tuned (block, epsilon 0.15)  │              │              │                  │       │          │
│ ria+alphapruning tuned       │       504.31 │       481.72 │                  │     1 │   0.7000 │
│ (block, epsilon 0.1)         │              │              │                  │       │          │
│ pruner-zero+owl tuned        │       535.08 │       566.40 │                  │     1 │   0.7000 │
│ (block, lambda 0.02, M 10)   │              │              │                  │       │          │
│ pruner-zero+uniform          │       551.26 │       570.81 │                  │     1 │   0.7000 │
│ ria+owl tuned (block, lambda │       638.05 │       673.24 │                  │     1 │   0.7000 │
│ 0.2, M 10)                   │              │              │                  │       │          │
│ ria+uniform                  │       714.52 │       742.24 │                  │     1 │   0.7000 │
│ magnitude+atp (untuned)      │     78029.66 │     99849.09 │                  │     1 │   0.7000 │
│ magnitude+sdsa (untuned)     │    165037.94 │    146398.12 │                  │     1 │   0.7000 │
│ magnitude+owl (untuned)      │     76892.60 │    151581.44 │                  │     1 │   0.7000 │
│ magnitude+dlp (untuned)      │    175506.14 │    151633.48 │                  │     1 │   0.7000 │
│ magnitude+uniform            │    387266.41 │    270142.22 │                  │     1 │   0.7000 │
│ magnitude+alphapruning       │    664312.75 │    650348.56 │                  │     1 │   0.7000 │
│ (untuned)                    │              │              │                  │       │          │
└──────────────────────────────┴──────────────┴──────────────┴──────────────────┴───────┴──────────┘
Candidates against baselines, report split
candidate       baseline                       seeds change %    95 % interval p (Holm) verdict
g68.c1 1d5bcd4d gblm+atp tuned                     3    -56.1   -59.8 to -52.5   0.0380 better
g68.c1 1d5bcd4d wanda+atp tuned                    3    -57.3   -60.8 to -53.9   0.0380 better
g68.c1 1d5bcd4d wanda+sdsa tuned                   1    -62.9   -67.6 to -57.6   0.0380 better
g68.c1 1d5bcd4d gblm+sdsa tuned                    1    -63.5   -68.3 to -58.2   0.0380 better
g68.c1 1d5bcd4d gblm+dlp tuned                     1    -66.1   -69.0 to -63.4   0.0380 better
g68.c1 1d5bcd4d wanda+dlp tuned                    1    -66.3   -69.2 to -63.7   0.0380 better
g68.c1 1d5bcd4d pruner-zero+atp tuned              1    -69.6   -73.6 to -65.4   0.0380 better
g68.c1 1d5bcd4d ria+atp tuned                      1    -72.6   -75.8 to -68.6   0.0380 better
g68.c1 1d5bcd4d ria+sdsa tuned                     1    -72.5   -76.3 to -68.0   0.0380 better
g68.c1 1d5bcd4d gblm+alphapruning tuned            1    -74.9   -77.5 to -72.2   0.0380 better
g68.c1 1d5bcd4d wanda+alphapruning tuned           1    -74.8   -77.5 to -72.3   0.0380 better
g68.c1 1d5bcd4d pruner-zero+sdsa tuned             1    -75.1   -78.2 to -72.1   0.0380 better
g68.c1 1d5bcd4d gblm+owl tuned                     1    -75.7   -77.9 to -73.6   0.0380 better
g68.c1 1d5bcd4d wanda+owl tuned                    1    -76.0   -78.1 to -73.9   0.0380 better
g68.c1 1d5bcd4d pruner-zero+dlp tuned              1    -79.1   -82.2 to -76.0   0.0380 better
g68.c1 1d5bcd4d ria+dlp tuned                      1    -78.5   -81.4 to -75.8   0.0380 better
g68.c1 1d5bcd4d wanda+uniform                      1    -79.4   -81.7 to -77.5   0.0380 better
g68.c1 1d5bcd4d gblm+uniform                       1    -79.4   -81.7 to -77.5   0.0380 better
g68.c1 1d5bcd4d pruner-zero+alphapruning tuned     1    -81.3   -83.4 to -79.8   0.0380 better
g68.c1 1d5bcd4d ria+alphapruning tuned             1    -84.6   -86.6 to -82.6   0.0380 better
g68.c1 1d5bcd4d pruner-zero+owl tuned              1    -86.9   -88.8 to -85.4   0.0380 better
g68.c1 1d5bcd4d pruner-zero+uniform                1    -87.0   -88.9 to -85.5   0.0380 better
g68.c1 1d5bcd4d ria+owl tuned                      1    -89.0   -90.7 to -87.1   0.0380 better
g68.c1 1d5bcd4d ria+uniform                        1    -90.0   -91.4 to -88.6   0.0380 better
g68.c1 1d5bcd4d magnitude+owl                      1   -100.0  -100.0 to -99.9   0.0380 better
g68.c1 1d5bcd4d magnitude+atp                      1    -99.9  -100.0 to -99.9   0.0380 better
g68.c1 1d5bcd4d magnitude+sdsa                     1    -99.9  -100.0 to -99.9   0.0380 better
g68.c1 1d5bcd4d magnitude+dlp                      1   -100.0  -100.0 to -99.9   0.0380 better
g68.c1 1d5bcd4d magnitude+uniform                  1   -100.0 -100.0 to -100.0   0.0380 better
g68.c1 1d5bcd4d magnitude+alphapruning             1   -100.0 -100.0 to -100.0   0.0380 better
smollm2-135m at sparsity 0.5
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                                     ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                                         │        14.68 │                │       │   0.0000 │
│ g68.c1 1d5bcd4d                               │        21.67 │ 21.38 to 21.88 │     3 │   0.5000 │
│ gblm+sdsa tuned in the search (block,         │        27.39 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, staged)                                 │              │                │       │          │
│ wanda+sdsa tuned in the search (block,        │        27.42 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, staged)                                 │              │                │       │          │
│ wanda+alphapruning tuned in the search        │        27.56 │                │     1 │   0.5000 │
│ (block, epsilon 0.05)                         │              │                │       │          │
│ gblm+alphapruning tuned in the search (block, │        27.61 │                │     1 │   0.5000 │
│ epsilon 0.05)                                 │              │                │       │          │
│ gblm+uniform                                  │        27.69 │                │     1 │   0.5000 │
│ wanda+uniform                                 │        27.71 │                │     1 │   0.5000 │
│ gblm+atp tuned in the search (block, beta     │        27.88 │ 27.74 to 28.14 │     3 │   0.5000 │
│ 0.00776)                                      │              │                │       │          │
│ wanda+owl tuned in the search (block, lambda  │        28.02 │                │     1 │   0.5000 │
│ 0.12, M 10)                                   │              │                │       │          │
│ gblm+owl tuned in the search (block, lambda   │        28.09 │                │     1 │   0.5000 │
│ 0.12, M 10)                                   │              │                │       │          │
│ gblm+dlp tuned in the search (block, width    │        28.16 │                │     1 │   0.5000 │
│ 0.2)                                          │              │                │       │          │
│ wanda+dlp tuned in the search (block, width   │        28.20 │                │     1 │   0.5000 │
│ 0.2)                                          │              │                │       │          │
│ ria+sdsa tuned in the search (block,          │        28.86 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 0.5,     │              │                │       │          │
│ delta 0.15, static)                           │              │                │       │          │
│ wanda+atp tuned in the search (block, beta    │        29.44 │ 29.33 to 29.53 │     3 │   0.5000 │
│ 0.0103)                                       │              │                │       │          │
│ ria+alphapruning tuned in the search (block,  │        29.64 │                │     1 │   0.5000 │
│ epsilon 0.1)                                  │              │                │       │          │
│ ria+uniform                                   │        29.82 │                │     1 │   0.5000 │
│ ria+owl tuned in the search (block, lambda    │        30.83 │                │     1 │   0.5000 │
│ 0.2, M 10)                                    │              │                │       │          │
│ pruner-zero+owl tuned in the search (block,   │        30.95 │                │     1 │   0.5000 │
│ lambda 0.02, M 10)                            │              │                │       │          │
│ pruner-zero+uniform                           │        31.59 │                │     1 │   0.5000 │
│ ria+dlp tuned in the search (block, width     │        31.92 │                │     1 │   0.5000 │
│ 0.2)                                          │              │                │       │          │
│ pruner-zero+alphapruning tuned in the search  │        31.98 │                │     1 │   0.5000 │
│ (block, epsilon 0.15)                         │              │                │       │          │
│ ria+atp tuned in the search (block, beta      │        32.49 │                │     1 │   0.5000 │
│ 0.0103)                                       │              │                │       │          │
│ pruner-zero+sdsa tuned in the search (block,  │        32.52 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, static)                                 │              │                │       │          │
│ pruner-zero+atp tuned in the search (block,   │        32.89 │                │     1 │   0.5000 │
│ beta 0.0103)                                  │              │                │       │          │
│ pruner-zero+dlp tuned in the search (block,   │        34.73 │                │     1 │   0.5000 │
│ width 0.25)                                   │              │                │       │          │
│ magnitude+owl (untuned)                       │       293.08 │                │     1 │   0.5000 │
│ magnitude+sdsa (untuned)                      │       301.90 │                │     1 │   0.5000 │
│ magnitude+uniform                             │       407.64 │                │     1 │   0.5000 │
│ magnitude+alphapruning (untuned)              │       434.05 │                │     1 │   0.5000 │
│ magnitude+dlp (untuned)                       │       474.10 │                │     1 │   0.5000 │
│ magnitude+atp (untuned)                       │      2530.08 │                │     1 │   0.5000 │
└───────────────────────────────────────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, smollm2-135m at sparsity 0.5
candidate       baseline                             seeds change %  95 % interval p (Holm) verdict
g68.c1 1d5bcd4d gblm+atp tuned in the search             3    -22.3 -24.5 to -20.1   0.0380 better
g68.c1 1d5bcd4d wanda+atp tuned in the search            3    -26.4 -29.6 to -23.9   0.0380 better
g68.c1 1d5bcd4d wanda+sdsa tuned in the search           1    -20.7 -23.1 to -17.5   0.0380 better
g68.c1 1d5bcd4d gblm+sdsa tuned in the search            1    -20.6 -22.9 to -17.4   0.0380 better
g68.c1 1d5bcd4d gblm+dlp tuned in the search             1    -22.8 -25.7 to -20.6   0.0380 better
g68.c1 1d5bcd4d wanda+dlp tuned in the search            1    -22.9 -26.0 to -20.8   0.0380 better
g68.c1 1d5bcd4d pruner-zero+atp tuned in the search      1    -33.9 -37.1 to -29.9   0.0380 better
g68.c1 1d5bcd4d ria+atp tuned in the search              1    -33.1 -35.9 to -30.3   0.0380 better
g68.c1 1d5bcd4d ria+sdsa tuned in the search             1    -24.7 -27.4 to -21.4   0.0380 better
g68.c1 1d5bcd4d gblm+alphapruning tuned in the           1    -21.2 -23.8 to -19.0   0.0380 better
                search
g68.c1 1d5bcd4d wanda+alphapruning tuned in the          1    -21.1 -23.8 to -18.9   0.0380 better
                search
g68.c1 1d5bcd4d pruner-zero+sdsa tuned in the search     1    -33.1 -35.2 to -30.8   0.0380 better
g68.c1 1d5bcd4d gblm+owl tuned in the search             1    -22.6 -24.3 to -20.8   0.0380 better
g68.c1 1d5bcd4d wanda+owl tuned in the search            1    -22.4 -24.2 to -20.5   0.0380 better
g68.c1 1d5bcd4d pruner-zero+dlp tuned in the search      1    -37.4 -39.9 to -34.2   0.0380 better
g68.c1 1d5bcd4d ria+dlp tuned in the search              1    -31.9 -34.4 to -29.0   0.0380 better
g68.c1 1d5bcd4d wanda+uniform                            1    -21.5 -23.9 to -19.4   0.0380 better
g68.c1 1d5bcd4d gblm+uniform                             1    -21.5 -23.9 to -19.3   0.0380 better
g68.c1 1d5bcd4d pruner-zero+alphapruning tuned in        1    -32.0 -33.4 to -30.1   0.0380 better
                the search
g68.c1 1d5bcd4d ria+alphapruning tuned in the search     1    -26.6 -28.8 to -24.2   0.0380 better
g68.c1 1d5bcd4d pruner-zero+owl tuned in the search      1    -29.7 -31.4 to -27.0   0.0380 better
g68.c1 1d5bcd4d pruner-zero+uniform                      1    -31.1 -32.8 to -28.3   0.0380 better
g68.c1 1d5bcd4d ria+owl tuned in the search              1    -29.5 -32.1 to -26.8   0.0380 better
g68.c1 1d5bcd4d ria+uniform                              1    -27.1 -29.3 to -24.2   0.0380 better
g68.c1 1d5bcd4d magnitude+owl                            1    -92.6 -93.4 to -91.6   0.0380 better
g68.c1 1d5bcd4d magnitude+atp                            1    -99.1 -99.3 to -99.0   0.0380 better
g68.c1 1d5bcd4d magnitude+sdsa                           1    -92.8 -93.6 to -91.7   0.0380 better
g68.c1 1d5bcd4d magnitude+dlp                            1    -95.4 -95.8 to -94.8   0.0380 better
g68.c1 1d5bcd4d magnitude+uniform                        1    -94.7 -95.3 to -93.8   0.0380 better
g68.c1 1d5bcd4d magnitude+alphapruning                   1    -95.0 -95.4 to -94.4   0.0380 better
smollm2-135m at sparsity 0.6
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                                     ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                                         │        14.68 │                │       │   0.0000 │
│ g68.c1 1d5bcd4d                               │        32.79 │ 32.51 to 32.94 │     3 │   0.6000 │
│ gblm+atp tuned in the search (block, beta     │        56.39 │ 55.61 to 57.74 │     3 │   0.6000 │
│ 0.00776)                                      │              │                │       │          │
│ wanda+sdsa tuned in the search (block,        │        56.57 │                │     1 │   0.6000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, staged)                                 │              │                │       │          │
│ gblm+sdsa tuned in the search (block,         │        56.64 │                │     1 │   0.6000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, staged)                                 │              │                │       │          │
│ wanda+atp tuned in the search (block, beta    │        60.12 │ 58.99 to 61.21 │     3 │   0.6000 │
│ 0.0103)                                       │              │                │       │          │
│ gblm+alphapruning tuned in the search (block, │        60.17 │                │     1 │   0.6000 │
│ epsilon 0.05)                                 │              │                │       │          │
│ gblm+uniform                                  │        60.32 │                │     1 │   0.6000 │
│ wanda+alphapruning tuned in the search        │        60.40 │                │     1 │   0.6000 │
│ (block, epsilon 0.05)                         │              │                │       │          │
│ wanda+uniform                                 │        60.43 │                │     1 │   0.6000 │
│ gblm+dlp tuned in the search (block, width    │        60.92 │                │     1 │   0.6000 │
│ 0.2)                                          │              │                │       │          │
│ wanda+dlp tuned in the search (block, width   │        61.19 │                │     1 │   0.6000 │
│ 0.2)                                          │              │                │       │          │
│ gblm+owl tuned in the search (block, lambda   │        61.24 │                │     1 │   0.6000 │
│ 0.12, M 10)                                   │              │                │       │          │
│ wanda+owl tuned in the search (block, lambda  │        61.62 │                │     1 │   0.6000 │
│ 0.12, M 10)                                   │              │                │       │          │
│ ria+atp tuned in the search (block, beta      │        69.28 │                │     1 │   0.6000 │
│ 0.0103)                                       │              │                │       │          │
│ ria+dlp tuned in the search (block, width     │        70.08 │                │     1 │   0.6000 │
│ 0.2)                                          │              │                │       │          │
│ pruner-zero+atp tuned in the search (block,   │        73.00 │                │     1 │   0.6000 │
│ beta 0.0103)                                  │              │                │       │          │
│ ria+sdsa tuned in the search (block,          │        73.45 │                │     1 │   0.6000 │
│ skewness, compressed, kappa 0.5, tau 0.5,     │              │                │       │          │
│ delta 0.15, static)                           │              │                │       │          │
│ pruner-zero+dlp tuned in the search (block,   │        77.65 │                │     1 │   0.6000 │
│ width 0.25)                                   │              │                │       │          │
│ pruner-zero+owl tuned in the search (block,   │        77.75 │                │     1 │   0.6000 │
│ lambda 0.02, M 10)                            │              │                │       │          │
│ pruner-zero+uniform                           │        77.83 │                │     1 │   0.6000 │
│ pruner-zero+sdsa tuned in the search (block,  │        80.45 │                │     1 │   0.6000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, static)                                 │              │                │       │          │
│ ria+alphapruning tuned in the search (block,  │        80.49 │                │     1 │   0.6000 │
│ epsilon 0.1)                                  │              │                │       │          │
│ pruner-zero+alphapruning tuned in the search  │        80.49 │                │     1 │   0.6000 │
│ (block, epsilon 0.15)                         │              │                │       │          │
│ ria+uniform                                   │        83.40 │                │     1 │   0.6000 │
│ ria+owl tuned in the search (block, lambda    │        90.03 │                │     1 │   0.6000 │
│ 0.2, M 10)                                    │              │                │       │          │
│ magnitude+sdsa (untuned)                      │      4616.71 │                │     1 │   0.6000 │
│ magnitude+uniform                             │      8544.40 │                │     1 │   0.6000 │
│ magnitude+owl (untuned)                       │      9803.67 │                │     1 │   0.6000 │
│ magnitude+atp (untuned)                       │     11488.41 │                │     1 │   0.6000 │
│ magnitude+dlp (untuned)                       │     21166.02 │                │     1 │   0.6000 │
│ magnitude+alphapruning (untuned)              │     23995.33 │                │     1 │   0.6000 │
└───────────────────────────────────────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, smollm2-135m at sparsity 0.6
candidate       baseline                             seeds change %  95 % interval p (Holm) verdict
g68.c1 1d5bcd4d gblm+atp tuned in the search             3    -41.8 -43.9 to -38.7   0.0380 better
g68.c1 1d5bcd4d wanda+atp tuned in the search            3    -45.5 -48.5 to -41.7   0.0380 better
g68.c1 1d5bcd4d wanda+sdsa tuned in the search           1    -41.8 -44.8 to -38.8   0.0380 better
g68.c1 1d5bcd4d gblm+sdsa tuned in the search            1    -41.8 -44.8 to -38.9   0.0380 better
g68.c1 1d5bcd4d gblm+dlp tuned in the search             1    -45.9 -48.8 to -43.1   0.0380 better
g68.c1 1d5bcd4d wanda+dlp tuned in the search            1    -46.2 -49.0 to -43.4   0.0380 better
g68.c1 1d5bcd4d pruner-zero+atp tuned in the search      1    -54.9 -58.3 to -51.5   0.0380 better
g68.c1 1d5bcd4d ria+atp tuned in the search              1    -52.5 -55.0 to -49.1   0.0380 better
g68.c1 1d5bcd4d ria+sdsa tuned in the search             1    -55.2 -58.0 to -51.6   0.0380 better
g68.c1 1d5bcd4d gblm+alphapruning tuned in the           1    -45.3 -48.9 to -41.7   0.0380 better
                search
g68.c1 1d5bcd4d wanda+alphapruning tuned in the          1    -45.5 -49.0 to -41.9   0.0380 better
                search
g68.c1 1d5bcd4d pruner-zero+sdsa tuned in the search     1    -59.1 -62.3 to -55.9   0.0380 better
g68.c1 1d5bcd4d gblm+owl tuned in the search             1    -46.2 -49.1 to -43.2   0.0380 better
g68.c1 1d5bcd4d wanda+owl tuned in the search            1    -46.5 -49.5 to -43.5   0.0380 better
g68.c1 1d5bcd4d pruner-zero+dlp tuned in the search      1    -57.6 -61.3 to -54.2   0.0380 better
g68.c1 1d5bcd4d ria+dlp tuned in the search              1    -53.0 -55.6 to -50.4   0.0380 better
g68.c1 1d5bcd4d wanda+uniform                            1    -45.5 -48.6 to -42.7   0.0380 better
g68.c1 1d5bcd4d gblm+uniform                             1    -45.4 -48.4 to -42.6   0.0380 better
g68.c1 1d5bcd4d pruner-zero+alphapruning tuned in        1    -59.1 -62.0 to -56.2   0.0380 better
                the search
g68.c1 1d5bcd4d ria+alphapruning tuned in the search     1    -59.1 -61.5 to -56.2   0.0380 better
g68.c1 1d5bcd4d pruner-zero+owl tuned in the search      1    -57.6 -60.8 to -54.6   0.0380 better
g68.c1 1d5bcd4d pruner-zero+uniform                      1    -57.7 -60.6 to -54.7   0.0380 better
g68.c1 1d5bcd4d ria+owl tuned in the search              1    -63.4 -66.1 to -60.5   0.0380 better
g68.c1 1d5bcd4d ria+uniform                              1    -60.5 -62.9 to -57.4   0.0380 better
g68.c1 1d5bcd4d magnitude+owl                            1    -99.7 -99.8 to -99.6   0.0380 better
g68.c1 1d5bcd4d magnitude+atp                            1    -99.7 -99.8 to -99.6   0.0380 better
g68.c1 1d5bcd4d magnitude+sdsa                           1    -99.3 -99.5 to -99.1   0.0380 better
g68.c1 1d5bcd4d magnitude+dlp                            1    -99.8 -99.9 to -99.8   0.0380 better
g68.c1 1d5bcd4d magnitude+uniform                        1    -99.6 -99.7 to -99.5   0.0380 better
g68.c1 1d5bcd4d magnitude+alphapruning                   1    -99.9 -99.9 to -99.8   0.0380 better
smollm2-135m under the pattern 2:4
┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm       ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense           │        14.68 │                │       │   0.0000 │
│ g68.c1 1d5bcd4d │        42.79 │ 42.03 to 43.87 │     3 │   0.5000 │
│ wanda           │        82.71 │ 81.99 to 83.42 │     3 │   0.5000 │
│ gblm            │        83.25 │ 82.70 to 84.34 │     3 │   0.5000 │
│ ria             │        99.10 │                │     1 │   0.5000 │
│ pruner-zero     │       109.03 │                │     1 │   0.5000 │
│ magnitude       │      1914.30 │                │     1 │   0.5000 │
└─────────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, smollm2-135m under the pattern 2:4
candidate       baseline    seeds change %  95 % interval p (Holm) verdict
g68.c1 1d5bcd4d gblm            3    -48.6 -50.6 to -46.5   0.0380 better
g68.c1 1d5bcd4d wanda           3    -48.3 -50.3 to -46.1   0.0380 better
g68.c1 1d5bcd4d pruner-zero     1    -61.4 -63.7 to -58.8   0.0380 better
g68.c1 1d5bcd4d ria             1    -57.6 -61.0 to -54.6   0.0380 better
g68.c1 1d5bcd4d magnitude       1    -97.8 -98.2 to -97.3   0.0380 better
seeds: calibration samples that both were measured with; paired bootstrap-t over windows, two-sided
(16 windows of 512 tokens); better or worse: p at most 0.05 after Holm's correction for 190
comparisons; intervals are not corrected

Use
    autoprune prune --model smollm2-135m --algorithm exchange_by_column.py --sparsity 0.7 \\
        --allocation own --out pruned
    autoprune compare --model smollm2-135m --algorithms exchange_by_column.py,wanda --sparsity 0.7 \\
        --allocations own,sdsa
"""

"""Score: exchange(mul(|weight|, add(add(input norm, column_share(|weight|)), input norm)), 16)."""

import torch

GROUP = "row"
EPS = 1e-8


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
    return exchange((W * ((X + (W / (W.sum(dim=0, keepdim=True) + EPS))) + X)), layer, GROUP, 16)


UNIT = "module"
KNOTS = [0.212, 0.11, 0.023, -0.05, -0.108, -0.151]
ROLES = {"o": -0.087, "down": 0.135, "k": 0.039}


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
