"""The state machine: prepare -> plan -> candidates in parallel -> analyse -> plan ... -> confirm.

Each candidate is a subgraph that is started by `Send`, so a slow one does not delay its siblings:
propose -> critique (-> propose) -> approve (-> propose, with a comment) -> tune -> evaluate (-> propose, with the
failure).
While one waits in `approve`, by an interrupt, the others go on.
"""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from autoprune.search.analyse import analyse
from autoprune.search.approve import after_approve, approve
from autoprune.search.candidate import after_critique, after_evaluate, after_propose, critique, evaluate, propose
from autoprune.search.confirm import confirm
from autoprune.search.context import SearchContext
from autoprune.search.plan import dispatch, plan
from autoprune.search.prepare import prepare
from autoprune.search.state import CandidateEnd, CandidateState, SearchState
from autoprune.search.tune import tune

Compiled = CompiledStateGraph[Any, SearchContext, Any, Any]


def candidate_graph() -> Compiled:
    """The subgraph of one candidate."""
    graph = StateGraph(CandidateState, context_schema=SearchContext, output_schema=CandidateEnd)
    graph.add_node("propose", propose)
    graph.add_node("critique", critique)
    graph.add_node("approve", approve)
    graph.add_node("tune", tune)
    graph.add_node("evaluate", evaluate)
    graph.add_node("end", _end)
    graph.add_edge(START, "propose")
    graph.add_conditional_edges("propose", after_propose, {"critique": "critique", END: "end"})
    graph.add_conditional_edges("critique", after_critique, {"propose": "propose", "approve": "approve", END: "end"})
    graph.add_conditional_edges("approve", after_approve, {"propose": "propose", "tune": "tune", END: "end"})
    graph.add_edge("tune", "evaluate")
    graph.add_conditional_edges("evaluate", after_evaluate, {"propose": "propose", END: "end"})
    graph.add_edge("end", END)
    return graph.compile()


def search_graph(checkpoints: BaseCheckpointSaver[Any]) -> Compiled:
    """The whole search."""
    graph = StateGraph(SearchState, context_schema=SearchContext)
    graph.add_node("prepare", prepare)
    graph.add_node("plan", plan)
    graph.add_node("candidate", candidate_graph())
    graph.add_node("analyse", analyse)
    graph.add_node("confirm", confirm)
    graph.add_edge(START, "prepare")
    graph.add_edge("prepare", "plan")
    graph.add_conditional_edges("plan", dispatch, ["candidate", "confirm"])
    graph.add_edge("candidate", "analyse")
    graph.add_edge("analyse", "plan")
    graph.add_edge("confirm", END)
    return graph.compile(checkpointer=checkpoints)


def _end(state: CandidateState) -> CandidateEnd:
    return {"ended": 1}
