"""Structured pruning: published importances of FFN channels, head groups and decoder blocks. One file holds one."""
