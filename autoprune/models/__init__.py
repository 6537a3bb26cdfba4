"""Targets: loading, decoder blocks of any architecture, walks over them, statistics, and saving."""
