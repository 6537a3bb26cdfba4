"""The numbers and texts that the page draws."""

import json
import re

import networkx as nx

from autoprune.report.html.reasoning import placed
from autoprune.report.html.safe import cut, escaped, number, shareable, to_json, without_folders


def test_the_curve_falls_and_ends_at_the_best(made_up):
    data = made_up(40).data
    best = [value for value in data["curve"]["best"] if value is not None]
    assert best == sorted(best, reverse=True)
    assert [each["perplexity"] for each in data["candidates"]["all"] if each["slot"] == data["best"]] == best[-1:]
    assert data["lineage"]["line"][-1] == data["best"]
    assert data["lineage"]["line"][0] == "seed.wanda"


def test_layers_stand_at_their_block_and_role_and_units_hold_them(made_up):
    data = made_up(4, blocks=3).data["layers"]
    assert (data["columns"], data["rows"][:2]) == (["0", "1", "2"], ["q_proj", "k_proj"])
    assert (data["blocks"][7], data["roles"][7]) == ("1", "q_proj")
    assert [unit["layers"] for unit in data["units"]][1] == list(range(7, 14))
    uniform = next(each for each in data["subjects"] if each["key"] == "wanda+uniform")
    assert set(data["allocations"][uniform["allocation"]]) == {0.6}


def test_a_thought_stands_right_of_what_it_came_from_and_no_two_at_one_place():
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for generation in (1, 2):
        for slot in ("c1", "c2"):
            for part, kind in ((".idea", "hypothesis"), (".design", "design"), ("", "algorithm")):
                graph.add_node(f"g{generation}.{slot}{part}", kind=kind, generation=generation)
            graph.add_edge(f"g{generation}.{slot}.idea", f"g{generation}.{slot}.design")
            graph.add_edge(f"g{generation}.{slot}.design", f"g{generation}.{slot}")
    graph.add_edge("g1.c2", "g2.c1.design")
    graph.add_edge("g1.c1", "g2.c2.design")
    places = placed(graph)
    assert len(set(places.values())) == len(graph)
    assert all(places[before][0] < places[after][0] for before, after in graph.edges())
    assert places["g2.c1"][1] == places["g1.c2"][1]


def test_json_cannot_end_its_element():
    text = escaped(to_json({"a": "</script><!--<script>&\u2028\u2029é"}))
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == {"a": "</script><!--<script>&\u2028\u2029é"}


def test_what_is_no_finite_number_is_none():
    assert [number(value) for value in (float("nan"), float("inf"), None, "1", True)] == [None] * 5
    assert number(1234.56789, 6) == 1234.57


def test_texts_are_cut_with_a_word_that_says_so():
    assert cut("abc", 3) == "abc"
    assert cut("abcd\x00", 3) == "abc\n[cut: 3 of 5 characters are shown]"


def test_of_a_path_only_the_last_part_is_shown_and_of_an_address_no_password():
    assert shareable("/home/ann/models/llama") == "llama"
    assert shareable("http://ann:secret@host:1/v1") == "http://host:1/v1"
    assert shareable("smollm2-135m") == "smollm2-135m"
    said = "no ended run in /home/ann/my/runs, http://host/v1/models; |W|/|X| is 1/2"
    assert without_folders(said) == "no ended run in runs, http://host/v1/models; |W|/|X| is 1/2"
