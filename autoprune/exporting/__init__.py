"""A way out to real runtimes: models written for them, and loaded and measured by them again."""
