"""Candidates as source code: the contract, the screen, static analysis, and the shipped discoveries."""
