"""The search: the LangGraph state machine, its nodes, and their shared context."""
