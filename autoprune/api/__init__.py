"""The Python API: what `import autoprune` hands out. Its functions raise AutoPruneError, never SystemExit."""
