"""The search: the LangGraph state machine, its nodes, and what they share."""
