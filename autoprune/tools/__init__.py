"""Typed tools that agents can call: evaluate_candidate, inspect_target, recall, try_layers."""
