"""Logging a search to an experiment tracker: what is logged follows from its events alone."""
