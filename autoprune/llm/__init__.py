"""Chat models: the one door through which agents talk to an LLM, and the local server behind it."""
