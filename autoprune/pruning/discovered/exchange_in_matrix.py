"""exchange(mul(add(row_share(|weight|), column_share(|weight|)), pow(input norm, 0.5)), 4), compar…

Discovered by autoprune 0.1.0 in the run 20261126-smollm2-135m-70: g12.c3, 26cd93fe611f647e
(operator structure, engine symbolic).

Thought
    idea: exchange(mul(add(row_share(|weight|), column_share(|weight|)), pow(input norm, 0.5)), 4),
        compared within each matrix
    why: one changed part of a good formula tests what that part is worth
    expected: better

Lineage, oldest first (of several parents the one that measured best)
    seed.ria: a published score

Search
    model: smollm2-135m (fingerprint 38df342b780d986f, float32)
    sparsity: 0.7
    allocation where the source brings none: name sdsa, unit block, preset default, tune False
    text: builtin for search and report, builtin for calibration, 16 sequences of 512 tokens;
        statistics: dense
    windows: 8 for search, 16 for report
    seed: 0
    on the search split: measured: perplexity 93.41, gain +1.334 over its parent

Confirmation
Perplexity (lower is better)
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                    ┃ search split ┃ report split ┃       over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                        │        16.17 │        14.66 │                  │       │   0.0000 │
│ g12.c3 26cd93fe              │        93.41 │        87.79 │   86.25 to 89.81 │     3 │   0.7000 │
│ wanda+atp tuned (block, beta │       164.85 │       171.68 │ 170.10 to 172.86 │     3 │   0.7000 │
│ 0.00776)                     │              │              │                  │       │          │
│ gblm+atp tuned (block, beta  │       165.04 │       177.99 │ 171.82 to 186.28 │     3 │   0.7000 │
│ 0.0103)                      │              │              │                  │       │          │
│ wanda+sdsa tuned (block,     │       190.63 │       202.68 │                  │     1 │   0.7000 │
│ skewness, compressed, kappa  │              │              │                  │       │          │
│ 0.5, tau 1, delta 0.15,      │              │              │                  │       │          │
│ staged)                      │              │              │                  │       │          │
│ gblm+sdsa tuned (block,      │       192.65 │       205.78 │                  │     1 │   0.7000 │
│ skewness, compressed, kappa  │              │              │                  │       │          │
│ 0.5, tau 1, delta 0.15,      │              │              │                  │       │          │
│ staged)                      │              │              │                  │       │          │
│ gblm+dlp tuned (block, width │       209.75 │       216.39 │                  │     1 │   0.7000 │
│ 0.25)                        │              │              │                  │       │          │
│ wanda+dlp tuned (block,      │       209.15 │       221.63 │                  │     1 │   0.7000 │
│ width 0.2)                   │              │              │                  │       │          │
│ pruner-zero+atp tuned        │       211.58 │       252.73 │                  │     1 │   0.7000 │
│ (block, beta 0.00776)        │              │              │                  │       │          │
│ ria+atp tuned (block, beta   │       252.59 │       273.10 │                  │     1 │   0.7000 │
│ 0.0103)                      │              │              │                  │       │          │
│ ria+sdsa tuned (block,       │       273.65 │       273.84 │                  │     1 │   0.7000 │
│ skewness, compressed, kappa  │              │              │                  │       │          │
│ 0.5, tau 0.5, delta 0.15,    │              │              │                  │       │          │
│ static)                      │              │              │                  │       │          │
│ gblm+alphapruning tuned      │       292.90 │       298.13 │                  │     1 │   0.7000 │
│ (block, epsilon 0.05)        │              │              │                  │       │          │
│ wanda+alphapruning tuned     │       294.12 │       300.20 │                  │     1 │   0.7000 │
│ (block, epsilon 0.05)        │              │              │                  │       │          │
│ gblm+owl tuned (block,       │       298.12 │       300.38 │                  │     1 │   0.7000 │
│ lambda 0.12, M 10)           │              │              │                  │       │          │
│ wanda+owl tuned (block,      │       299.58 │       301.75 │                  │     1 │   0.7000 │
│ lambda 0.12, M 10)           │              │              │                  │       │          │
│ pruner-zero+sdsa tuned       │       295.85 │       303.42 │                  │     1 │   0.7000 │
│ (block, skewness,            │              │              │                  │       │          │
│ compressed, kappa 0.5, tau   │              │              │                  │       │          │
│ 1, delta 0.15, static)       │              │              │                  │       │          │
│ pruner-zero+dlp tuned        │       299.25 │       345.04 │                  │     1 │   0.7000 │
│ (block, width 0.25)          │              │              │                  │       │          │
│ wanda+uniform                │       333.09 │       357.05 │                  │     1 │   0.7000 │
│ gblm+uniform                 │       335.20 │       361.17 │                  │     1 │   0.7000 │
│ ria+dlp tuned (block, width  │       328.41 │       382.50 │                  │     1 │   0.7000 │
│ 0.3)                         │              │              │                  │       │          │
│ pruner-zero+alphapruning     │       421.95 │       420.34 │                  │     1 │   0.7000 │
│ tuned (block, epsilon 0.15)  │              │              │                  │       │          │
│ ria+alphapruning tuned       │       527.54 │       495.73 │                  │     1 │   0.7000 │
│ (block, epsilon 0.1)         │              │              │                  │       │          │
│ pruner-zero+owl tuned        │       509.82 │       521.84 │                  │     1 │   0.7000 │
│ (block, lambda 0.02, M 10)   │              │              │                  │       │          │
│ pruner-zero+uniform          │       512.33 │       526.57 │                  │     1 │   0.7000 │
│ ria+owl tuned (block, lambda │       625.42 │       651.24 │                  │     1 │   0.7000 │
│ 0.2, M 10)                   │              │              │                  │       │          │
│ ria+uniform                  │       659.71 │       700.14 │                  │     1 │   0.7000 │
│ magnitude+atp (untuned)      │     83706.31 │    110824.65 │                  │     1 │   0.7000 │
│ magnitude+dlp (untuned)      │    165037.78 │    156752.96 │                  │     1 │   0.7000 │
│ magnitude+owl (untuned)      │     91372.81 │    160633.19 │                  │     1 │   0.7000 │
│ magnitude+sdsa (untuned)     │    137102.53 │    168697.69 │                  │     1 │   0.7000 │
│ magnitude+uniform            │    313425.98 │    313710.93 │                  │     1 │   0.7000 │
│ magnitude+alphapruning       │    403989.21 │    647712.78 │                  │     1 │   0.7000 │
│ (untuned)                    │              │              │                  │       │          │
└──────────────────────────────┴──────────────┴──────────────┴──────────────────┴───────┴──────────┘
Candidates against baselines, report split
candidate       baseline                       seeds change %    95 % interval p (Holm) verdict
g12.c3 26cd93fe wanda+atp tuned                    3    -48.9   -54.4 to -44.4   0.0260 better
g12.c3 26cd93fe gblm+atp tuned                     3    -50.7   -56.0 to -45.9   0.0260 better
g12.c3 26cd93fe wanda+sdsa tuned                   1    -56.9   -62.4 to -51.6   0.0260 better
g12.c3 26cd93fe gblm+sdsa tuned                    1    -57.5   -63.1 to -52.2   0.0260 better
g12.c3 26cd93fe wanda+dlp tuned                    1    -60.6   -64.1 to -57.7   0.0260 better
g12.c3 26cd93fe gblm+dlp tuned                     1    -59.6   -63.0 to -56.5   0.0260 better
g12.c3 26cd93fe pruner-zero+atp tuned              1    -65.4   -69.9 to -61.4   0.0260 better
g12.c3 26cd93fe ria+atp tuned                      1    -68.0   -72.0 to -64.4   0.0260 better
g12.c3 26cd93fe ria+sdsa tuned                     1    -68.1   -72.7 to -63.6   0.0260 better
g12.c3 26cd93fe gblm+alphapruning tuned            1    -70.7   -74.0 to -67.4   0.0260 better
g12.c3 26cd93fe wanda+alphapruning tuned           1    -70.9   -74.1 to -67.7   0.0260 better
g12.c3 26cd93fe pruner-zero+sdsa tuned             1    -71.2   -74.3 to -68.2   0.0260 better
g12.c3 26cd93fe gblm+owl tuned                     1    -70.9   -73.3 to -68.3   0.0260 better
g12.c3 26cd93fe pruner-zero+dlp tuned              1    -74.7   -78.1 to -71.8   0.0260 better
g12.c3 26cd93fe wanda+owl tuned                    1    -71.0   -73.3 to -68.5   0.0260 better
g12.c3 26cd93fe ria+dlp tuned                      1    -77.2   -80.3 to -74.4   0.0260 better
g12.c3 26cd93fe wanda+uniform                      1    -75.5   -78.2 to -73.1   0.0260 better
g12.c3 26cd93fe gblm+uniform                       1    -75.8   -78.4 to -73.4   0.0260 better
g12.c3 26cd93fe pruner-zero+alphapruning tuned     1    -79.2   -81.0 to -77.2   0.0260 better
g12.c3 26cd93fe pruner-zero+owl tuned              1    -83.3   -85.4 to -81.4   0.0260 better
g12.c3 26cd93fe pruner-zero+uniform                1    -83.4   -85.6 to -81.6   0.0260 better
g12.c3 26cd93fe ria+alphapruning tuned             1    -82.4   -84.5 to -80.3   0.0260 better
g12.c3 26cd93fe ria+owl tuned                      1    -86.6   -88.6 to -84.8   0.0260 better
g12.c3 26cd93fe ria+uniform                        1    -87.5   -89.2 to -86.0   0.0260 better
g12.c3 26cd93fe magnitude+atp                      1    -99.9  -100.0 to -99.9   0.0260 better
g12.c3 26cd93fe magnitude+owl                      1    -99.9  -100.0 to -99.9   0.0260 better
g12.c3 26cd93fe magnitude+sdsa                     1    -99.9  -100.0 to -99.9   0.0260 better
g12.c3 26cd93fe magnitude+dlp                      1    -99.9  -100.0 to -99.9   0.0260 better
g12.c3 26cd93fe magnitude+uniform                  1   -100.0 -100.0 to -100.0   0.0260 better
g12.c3 26cd93fe magnitude+alphapruning             1   -100.0 -100.0 to -100.0   0.0260 better
smollm2-135m at sparsity 0.5
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm                                     ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense                                         │        14.66 │                │       │   0.0000 │
│ g12.c3 26cd93fe                               │        22.99 │ 22.95 to 23.02 │     3 │   0.5000 │
│ gblm+sdsa tuned in the search (block,         │        27.37 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, staged)                                 │              │                │       │          │
│ wanda+sdsa tuned in the search (block,        │        27.42 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, staged)                                 │              │                │       │          │
│ gblm+alphapruning tuned in the search (block, │        27.53 │                │     1 │   0.5000 │
│ epsilon 0.05)                                 │              │                │       │          │
│ wanda+alphapruning tuned in the search        │        27.57 │                │     1 │   0.5000 │
│ (block, epsilon 0.05)                         │              │                │       │          │
│ gblm+uniform                                  │        27.65 │                │     1 │   0.5000 │
│ wanda+uniform                                 │        27.73 │                │     1 │   0.5000 │
│ wanda+atp tuned in the search (block, beta    │        27.85 │ 27.71 to 28.08 │     3 │   0.5000 │
│ 0.00776)                                      │              │                │       │          │
│ gblm+owl tuned in the search (block, lambda   │        27.96 │                │     1 │   0.5000 │
│ 0.12, M 10)                                   │              │                │       │          │
│ wanda+owl tuned in the search (block, lambda  │        28.01 │                │     1 │   0.5000 │
│ 0.12, M 10)                                   │              │                │       │          │
│ wanda+dlp tuned in the search (block, width   │        28.28 │                │     1 │   0.5000 │
│ 0.2)                                          │              │                │       │          │
│ ria+sdsa tuned in the search (block,          │        28.73 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 0.5,     │              │                │       │          │
│ delta 0.15, static)                           │              │                │       │          │
│ gblm+atp tuned in the search (block, beta     │        29.41 │ 29.39 to 29.43 │     3 │   0.5000 │
│ 0.0103)                                       │              │                │       │          │
│ ria+alphapruning tuned in the search (block,  │        29.61 │                │     1 │   0.5000 │
│ epsilon 0.1)                                  │              │                │       │          │
│ ria+uniform                                   │        29.62 │                │     1 │   0.5000 │
│ gblm+dlp tuned in the search (block, width    │        30.38 │                │     1 │   0.5000 │
│ 0.25)                                         │              │                │       │          │
│ pruner-zero+owl tuned in the search (block,   │        30.71 │                │     1 │   0.5000 │
│ lambda 0.02, M 10)                            │              │                │       │          │
│ ria+owl tuned in the search (block, lambda    │        30.81 │                │     1 │   0.5000 │
│ 0.2, M 10)                                    │              │                │       │          │
│ pruner-zero+uniform                           │        31.16 │                │     1 │   0.5000 │
│ pruner-zero+atp tuned in the search (block,   │        31.16 │                │     1 │   0.5000 │
│ beta 0.00776)                                 │              │                │       │          │
│ pruner-zero+alphapruning tuned in the search  │        31.65 │                │     1 │   0.5000 │
│ (block, epsilon 0.15)                         │              │                │       │          │
│ ria+atp tuned in the search (block, beta      │        32.27 │                │     1 │   0.5000 │
│ 0.0103)                                       │              │                │       │          │
│ pruner-zero+sdsa tuned in the search (block,  │        32.67 │                │     1 │   0.5000 │
│ skewness, compressed, kappa 0.5, tau 1, delta │              │                │       │          │
│ 0.15, static)                                 │              │                │       │          │
│ ria+dlp tuned in the search (block, width     │        34.12 │                │     1 │   0.5000 │
│ 0.3)                                          │              │                │       │          │
│ pruner-zero+dlp tuned in the search (block,   │        34.96 │                │     1 │   0.5000 │
│ width 0.25)                                   │              │                │       │          │
│ magnitude+sdsa (untuned)                      │       295.72 │                │     1 │   0.5000 │
│ magnitude+owl (untuned)                       │       296.21 │                │     1 │   0.5000 │
│ magnitude+uniform                             │       397.65 │                │     1 │   0.5000 │
│ magnitude+alphapruning (untuned)              │       439.35 │                │     1 │   0.5000 │
│ magnitude+dlp (untuned)                       │       462.47 │                │     1 │   0.5000 │
│ magnitude+atp (untuned)                       │      2457.64 │                │     1 │   0.5000 │
└───────────────────────────────────────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, smollm2-135m at sparsity 0.5
candidate       baseline                             seeds change %  95 % interval p (Holm) verdict
g12.c3 26cd93fe wanda+atp tuned in the search            3    -17.5 -20.5 to -14.0   0.0260 better
g12.c3 26cd93fe gblm+atp tuned in the search             3    -21.8 -25.1 to -17.9   0.0260 better
g12.c3 26cd93fe wanda+sdsa tuned in the search           1    -16.3 -17.9 to -14.0   0.0260 better
g12.c3 26cd93fe gblm+sdsa tuned in the search            1    -16.1 -17.7 to -13.9   0.0260 better
g12.c3 26cd93fe wanda+dlp tuned in the search            1    -18.8 -22.3 to -15.3   0.0260 better
g12.c3 26cd93fe gblm+dlp tuned in the search             1    -24.4 -28.1 to -20.1   0.0260 better
g12.c3 26cd93fe pruner-zero+atp tuned in the search      1    -26.3 -29.5 to -22.2   0.0260 better
g12.c3 26cd93fe ria+atp tuned in the search              1    -28.9 -32.5 to -25.3   0.0260 better
g12.c3 26cd93fe ria+sdsa tuned in the search             1    -20.1 -22.1 to -18.2   0.0260 better
g12.c3 26cd93fe gblm+alphapruning tuned in the           1    -16.6 -19.4 to -13.3   0.0260 better
                search
g12.c3 26cd93fe wanda+alphapruning tuned in the          1    -16.8 -19.5 to -13.5   0.0260 better
                search
g12.c3 26cd93fe pruner-zero+sdsa tuned in the search     1    -29.7 -31.6 to -27.4   0.0260 better
g12.c3 26cd93fe gblm+owl tuned in the search             1    -17.9 -20.0 to -15.4   0.0260 better
g12.c3 26cd93fe pruner-zero+dlp tuned in the search      1    -34.3 -37.2 to -29.9   0.0260 better
g12.c3 26cd93fe wanda+owl tuned in the search            1    -18.0 -20.2 to -15.5   0.0260 better
g12.c3 26cd93fe ria+dlp tuned in the search              1    -32.7 -35.7 to -29.3   0.0260 better
g12.c3 26cd93fe wanda+uniform                            1    -17.2 -20.2 to -14.5   0.0260 better
g12.c3 26cd93fe gblm+uniform                             1    -17.0 -19.9 to -14.3   0.0260 better
g12.c3 26cd93fe pruner-zero+alphapruning tuned in        1    -27.5 -28.7 to -25.5   0.0260 better
                the search
g12.c3 26cd93fe pruner-zero+owl tuned in the search      1    -25.3 -27.1 to -21.8   0.0260 better
g12.c3 26cd93fe pruner-zero+uniform                      1    -26.3 -28.1 to -22.8   0.0260 better
g12.c3 26cd93fe ria+alphapruning tuned in the search     1    -22.5 -24.0 to -20.5   0.0260 better
g12.c3 26cd93fe ria+owl tuned in the search              1    -25.5 -27.3 to -23.6   0.0260 better
g12.c3 26cd93fe ria+uniform                              1    -22.5 -24.4 to -19.7   0.0260 better
g12.c3 26cd93fe magnitude+atp                            1    -99.1 -99.2 to -98.9   0.0260 better
g12.c3 26cd93fe magnitude+owl                            1    -92.3 -93.0 to -91.2   0.0260 better
g12.c3 26cd93fe magnitude+sdsa                           1    -92.2 -93.1 to -91.2   0.0260 better
g12.c3 26cd93fe magnitude+dlp                            1    -95.0 -95.4 to -94.5   0.0260 better
g12.c3 26cd93fe magnitude+uniform                        1    -94.2 -94.8 to -93.4   0.0260 better
g12.c3 26cd93fe magnitude+alphapruning                   1    -94.8 -95.3 to -94.2   0.0260 better
smollm2-135m under the pattern 2:4
┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━━━┓
┃ algorithm       ┃ report split ┃     over seeds ┃ seeds ┃ sparsity ┃
┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━━━┩
│ dense           │        14.66 │                │       │   0.0000 │
│ g12.c3 26cd93fe │        47.14 │ 46.63 to 47.43 │     3 │   0.5000 │
│ wanda           │        82.85 │ 81.95 to 83.42 │     3 │   0.5000 │
│ gblm            │        83.53 │ 82.74 to 84.39 │     3 │   0.5000 │
│ ria             │        99.90 │                │     1 │   0.5000 │
│ pruner-zero     │       108.33 │                │     1 │   0.5000 │
│ magnitude       │      1893.60 │                │     1 │   0.5000 │
└─────────────────┴──────────────┴────────────────┴───────┴──────────┘
Candidates against baselines, smollm2-135m under the pattern 2:4
candidate       baseline    seeds change %  95 % interval p (Holm) verdict
g12.c3 26cd93fe wanda           3    -43.1 -45.2 to -40.7   0.0260 better
g12.c3 26cd93fe gblm            3    -43.6 -45.6 to -41.2   0.0260 better
g12.c3 26cd93fe pruner-zero     1    -56.3 -59.0 to -53.3   0.0260 better
g12.c3 26cd93fe ria             1    -52.6 -55.8 to -49.0   0.0260 better
g12.c3 26cd93fe magnitude       1    -97.5 -97.9 to -96.9   0.0260 better
seeds: calibration samples that both were measured with; paired bootstrap-t over windows, two-sided
(16 windows of 512 tokens); better or worse: p at most 0.05 after Holm's correction for 130
comparisons; intervals are not corrected

Use
    autoprune prune --model smollm2-135m --algorithm exchange_in_matrix.py --sparsity 0.7 \\
        --allocation sdsa --out pruned
    autoprune compare --model smollm2-135m --algorithms exchange_in_matrix.py,wanda --sparsity 0.7 \\
        --allocations sdsa
"""

"""Score: exchange(mul(add(row_share(|weight|), column_share(|weight|)), pow(input norm, 0.5)), 4)."""

import torch

GROUP = "matrix"
EPS = 1e-8


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
    return exchange((((W / (W.sum(dim=-1, keepdim=True) + EPS)) + (W / (W.sum(dim=0, keepdim=True) + EPS))) * X.pow(0.5)), layer, GROUP, 4)
