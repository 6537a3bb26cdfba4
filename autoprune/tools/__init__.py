"""What an agent can call, typed: evaluate_candidate, inspect_target, recall."""
