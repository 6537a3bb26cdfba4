"""A search whose LLM writes sources that are absurd, hide code, forge messages or do not repeat: each costs itself."""

import itertools
import json

import pytest

from autoprune.runs.archive import Archive
from autoprune.runs.events import read_events
from tests.absurd import FORMS, GROUPS, HIDING, NUMBERS, deep
from tests.search.test_search import thought

MODULES = "import torch\nmodules = torch._utils.traceback.sys.modules\n"
FORGE = MODULES + "P = modules['autoprune.sandbox.protocol']\ne = P.encode\n"
STEADY = "def score(layer):\n    return layer.weight.abs() * layer.input_norm.pow(3)\n"
FICKLE = MODULES + (
    "def score(layer):\n"
    "    noise = modules['os'].urandom(2)[0] / 1e6\n"
    "    return layer.weight.abs() * (layer.input_norm + 1e-6).sqrt() * (1 + noise)\n"
)
SOURCES = {
    "steady": (STEADY, "measured", ""),
    "fickle": (FICKLE, "failed", "not-repeatable"),
    "deep": (deep(3000)["in the score"], "rejected", "critic"),
    "just not too deep": (deep(97)["unary"].replace("input_norm", "hessian_diag.pow(3)"), "measured", ""),
    "digits": (NUMBERS["a group of 20,000 hexadecimal digits"], "rejected", "critic"),
    "group": (GROUPS["GROUP = 1e999"], "rejected", "critic"),
    "line separator": (HIDING["a line separator"], "rejected", "critic"),
    "a class": (FORMS["a class"], "rejected", "critic"),
    "an own time beyond float": (
        f"{FORGE}P.encode = lambda a: e({{**a, 'own': 10**400}} if 'own' in a else a)\n{STEADY}",
        *("failed", "protocol"),
    ),
    "densities beyond float": (
        f"{FORGE}P.encode = lambda a: e({{**a, 'densities': [10**400]}} if 'densities' in a else a)\n{STEADY}"
        "def allocate(units, sparsity):\n    return [1.0 for unit in units]\n",
        *("failed", "protocol"),
    ),
    "densities of the largest floats": (
        f"{STEADY}def allocate(units, sparsity):\n    return [1.7e308 for unit in units]\n",
        *("failed", "shape"),
    ),
}


@pytest.fixture
def hostile_run(search, chat_server):
    """A search of one candidate for each of the sources."""
    numbers = itertools.count()

    def answer(body):
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
        if "verdict" in schema:
            return json.dumps({"comment": "fine", "verdict": "accept"})
        if "lesson" in schema:
            return json.dumps({"lesson": "none"})
        if "idea" in schema:
            return thought(idea=f"idea {next(numbers)}")
        number = int(body["messages"][-2]["content"].partition('"idea":"idea ')[2].partition('"')[0])
        return f"```python\n{list(SOURCES.values())[number][0]}```"

    chat_server.script = answer
    return search(
        *(
            "llm.provider=openai",
            f"llm.base_url={chat_server.base_url}",
            "llm.profile=small",
            "agents.symbolic_share=0",
        ),
        *("advanced.revisions=0", f"search.max_candidates={len(SOURCES)}", "advanced.layer_error=null"),
        *(
            "advanced.racing=false",
            "baselines.scores=[wanda]",
            "baselines.allocations=[uniform]",
            "confirmation.finalists=9",
            "confirmation.seeds=1",
        ),
    )


def test_every_hostile_candidate_ends_for_itself_and_the_search_goes_on(hostile_run):
    archive = Archive(hostile_run.archive_file)
    outcomes = {hostile_run.source(outcome.candidate): outcome for outcome in archive.outcomes() if outcome.candidate}
    archive.close()
    ends = {name: (outcomes[source].status, outcomes[source].reason) for name, (source, *_) in SOURCES.items()}
    assert ends == {name: (status, reason) for name, (_, status, reason) in SOURCES.items()}
    confirmed = [event.data for event in read_events(hostile_run.events_file) if event.kind == "confirmed"]
    shipped = {row["candidate"] for row in confirmed[0]["rows"] if row["kind"] == "candidate"}
    assert shipped
    assert outcomes[FICKLE].candidate not in shipped
