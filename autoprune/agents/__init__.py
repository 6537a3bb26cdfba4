"""The agents: proposer, critic and analyst, each by an LLM and by rules, and the approval of candidates."""
