"""Ablations in whole searches by a scripted strong model: who asks for them, and which slot has them."""

import pytest

from autoprune.search import ablating
from tests.agents.strong_model import Model, archived, draft, strong

__all__ = ["strong"]

ASKED = draft("layer.input_norm.pow(0.9)").replace("BUILDS_ON", "ABLATE: [g1.c1] the norm\nBUILDS_ON")


def ablations(proposals):
    return [(each.slot, each.parents, each.thought["asked"]) for each in proposals if each.operator == "ablate"]


def test_an_ablation_that_a_model_asks_for_is_the_last_slot_of_the_next_generation_once(strong):
    model = Model(draft("layer.input_norm.pow(0.8)"), ASKED)
    proposals = archived(strong(model, "search.max_candidates=8"))[1]
    asked = "[g1.c2] asks: [g1.c1] the norm"
    assert ablations(proposals) == [("g2.c2", ["g1.c1"], asked)]
    told = [each for each in model.told["proposer"] if asked in each]
    assert len(told) == 1
    assert "take it out, change nothing else" in told[0]


@pytest.mark.parametrize("operators", ["null", "[initialise,structure,repair]"])
def test_the_search_asks_for_its_best_candidate_from_time_to_time(strong, monkeypatch, operators):
    monkeypatch.setattr(ablating, "EVERY", 1)
    proposals = archived(strong(Model(), "search.max_candidates=6", f"agents.operators={operators}"))[1]
    found = ablations(proposals)
    assert [slot for slot, *_ in found] == (["g2.c2"] if operators == "null" else [])  # g3 is the last one
    assert all(parents and asked == ablating.BY_SEARCH for _, parents, asked in found)


def test_a_model_that_always_asks_does_not_get_every_generation(strong):
    class Asking(Model):
        def __call__(self, body):
            reply = super().__call__(body)
            return reply.replace("BUILDS_ON", f"ABLATE: [g1.c1] part {len(self.told['proposer'])}\nBUILDS_ON")

    found = ablations(archived(strong(Asking(), "search.max_candidates=12"))[1])
    assert [slot for slot, *_ in found] == ["g2.c2", "g4.c2"]


def test_a_generation_of_one_slot_has_none(strong):
    model = Model(ASKED)
    proposals = archived(strong(model, "search.max_candidates=3", "search.generation_size=1"))[1]
    assert not ablations(proposals)
