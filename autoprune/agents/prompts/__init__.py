"""Prompts as Markdown files with $named placeholders, next to the agents that use them; `load.py` renders them."""
