"""Several models that propose in one run: the choice between them, and whole searches behind a real endpoint."""

import json
from io import StringIO
from random import Random
from types import SimpleNamespace

import pytest
from rich.console import Console

from autoprune.config import Config
from autoprune.config_sections import SearchSettings
from autoprune.errors import UsageError
from autoprune.llm.provider import choose_llm
from autoprune.llm.reply import Usage
from autoprune.report.cost import model_cells
from autoprune.report.html.tables import costs
from autoprune.report.picture import Picture
from autoprune.report.tables import final_table
from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from autoprune.search.models import ModelRecord, choose_model, model_records
from tests.agents.strong_model import Model, archived, draft, strong

__all__ = ["strong"]

NAMES = ("small", "large")
MODELS = ("llm.models=[small,large]", "agents.critic=rules", "agents.analyst=rules")


def record(proposed, improved, usd, tokens=1000):
    usage = Usage(tokens_in=proposed * tokens, usd=proposed * usd)
    return ModelRecord(proposed, proposed, improved, 0.1, usage)


def share(records, settings, model="small"):
    drawn = [choose_model(records, settings, Random(seed)) for seed in range(400)]
    return drawn.count(model) / len(drawn)


def test_without_limits_the_model_that_improves_more_often_is_chosen_whatever_it_costs():
    assert share({"small": record(20, 2, 0.0), "large": record(20, 14, 1.0)}, SearchSettings()) < 0.05


def test_a_limit_on_money_speaks_for_the_cheap_one_by_its_share():
    equal = {"small": record(20, 8, 0.001), "large": record(20, 8, 0.1)}
    assert 0.4 < share(equal, SearchSettings(max_candidates=40)) < 0.6
    assert share(equal, SearchSettings(max_candidates=40, max_usd=4.0)) > 0.95  # 100 times 1/40 of it
    assert 0.4 < share(equal, SearchSettings(max_candidates=40, max_usd=4000.0)) < 0.6


def test_models_that_have_not_proposed_are_tried():
    assert 0.3 < share({"small": ModelRecord(), "large": ModelRecord()}, SearchSettings()) < 0.7
    assert share({"small": ModelRecord(), "large": record(10, 0, 0.1)}, SearchSettings(max_usd=1.0)) > 0.9


def test_every_proposal_is_by_the_model_of_its_slot_and_the_end_says_what_each_has_gained(strong, chat_server, facts):
    model = Model()
    run = strong(model, *MODELS, "search.max_candidates=6", "llm.record=true", name="first")
    proposals = {each.slot: each for each in archived(run)[1]}
    asked = {}
    for line in run.recording_file.read_text("utf-8").splitlines()[1:]:
        entry = json.loads(line)
        asked[entry["key"].partition(".propose")[0]] = entry["reply"]["model"]
    assert asked == {slot: each.thought["model"] for slot, each in proposals.items()}
    assert set(asked.values()) == set(NAMES)
    events = [event for event in read_events(run.events_file) if event.kind == "planned"]
    planned = [plan for event in events for plan in event.data["slots"]]
    assert {plan["slot"]: plan["model"] for plan in planned} == asked

    archive = Archive(run.archive_file)
    records = model_records(archive, NAMES)
    archive.close()
    picture = Picture.of(read_events(run.events_file))
    assert picture.models == {name: each.facts() for name, each in records.items()}
    assert sum(each["proposed"] for each in picture.models.values()) == len(proposals)
    assert sum(each["tokens"] for each in picture.models.values()) == picture.spent["tokens"]
    (_, table) = costs(SimpleNamespace(picture=picture))
    assert table.rows == model_cells(picture.models)
    console = Console(width=200, file=StringIO())
    console.print(final_table(picture))
    assert "gain per USD" in console.file.getvalue()
    again = strong(Model(), *MODELS, "search.max_candidates=6", name="second")
    assert facts(again)["outcomes"] == facts(run)["outcomes"]


def test_a_replay_needs_none_of_the_models(strong, search):
    words = (*MODELS, "search.max_candidates=2", "agents.symbolic_share=0", "advanced.layer_error=null")
    run = strong(Model(draft("layer.input_norm.sqrt()")), *words, "llm.record=true")
    replay = ("llm.provider=replay", "llm.profile=strong", f"llm.recording={run.recording_file}")
    played = search(*replay, *words, name="played")
    assert [each.candidate for each in archived(played)[1]] == [each.candidate for each in archived(run)[1]]
    assert not Picture.of(read_events(played.events_file)).models


def test_a_price_that_is_unknown_is_not_nothing():
    facts = ModelRecord(3, 2, 1, 0.2, Usage(tokens_in=10, usd=None)).facts()
    assert model_cells({"a": facts}) == [["a", "3", "2", "1", "18.1 %", "10", "unknown", "-"]]


@pytest.mark.parametrize("provider", ["local", "self"])
def test_models_of_this_machine_are_refused(provider, monkeypatch):
    monkeypatch.setattr("autoprune.llm.provider.engine_problem", lambda: None)
    settings = Config(llm={"provider": provider, "models": ["a", "b"]}).llm
    with pytest.raises(UsageError, match=r"llm\.models needs an endpoint"):
        choose_llm(settings, "smollm2-135m")
