"""The LangGraph state machine and its agents: proposer, critic, analyst, and the graph they reason in (GCoT)."""
