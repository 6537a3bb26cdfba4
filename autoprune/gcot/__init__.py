"""GCoT, the graph-driven chain of thought: the reasoning graph, and the chains compiled from it."""
