"""Measures algorithms by name under a condition: sparsity, pattern, calibration sample, model. Results are stored."""
