"""Refinements: improving a mask of any score within the same budget. One file holds one, under its name."""
