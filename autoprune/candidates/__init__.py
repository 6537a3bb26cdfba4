"""Candidates as sources: the contract, the screen, static analysis, and the discoveries that are shipped."""
