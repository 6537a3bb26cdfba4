"""Algorithms inside other compression libraries, each of which is installed by the user and imported by its module."""
