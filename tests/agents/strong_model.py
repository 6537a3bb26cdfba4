"""A scripted strong model behind a real endpoint, and searches by it."""

import json

import pytest

from autoprune.runs.archive import Archive


def code(factor):
    return f"```python\nimport torch\n\n\ndef score(layer):\n    return layer.weight.abs() * ({factor} + 1e-6)\n```"


def draft(factor, idea="a score"):
    return f"I think aloud.\n\nIDEA: {idea}\nWHY: because\nEXPECTED: better\nBUILDS_ON: [obs.skew]\n{code(factor)}"


def kind_of(body):
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    return "critic" if "verdict" in schema else "analyst" if {"lesson", "sentence"} & set(schema) else "proposer"


class Model:
    """Answers as each agent would; proposals differ by their number. Keeps what it was told."""

    def __init__(self, *drafts):
        self.told = {"critic": [], "analyst": [], "proposer": []}
        self.drafts = list(drafts)

    def __call__(self, body):
        kind = kind_of(body)
        self.told[kind].append("\n".join(message["content"] for message in body["messages"]))
        if kind == "critic":
            return json.dumps({"comment": "no fault found", "verdict": "accept"})
        if kind == "analyst" and "sentence" in str(body.get("response_format")):
            return json.dumps({"sentence": "It prunes small weights."})
        if kind == "analyst":
            return json.dumps({"lesson": f"lesson {len(self.told[kind])}: the norm helps."})
        number = len(self.told[kind])
        return self.drafts[number - 1] if number <= len(self.drafts) else draft(f"layer.input_norm.pow(0.{number})")


@pytest.fixture
def strong(search, chat_server):
    """Runs a search by a scripted model behind a real endpoint."""

    def run(model, *words, **options):
        chat_server.script = model
        endpoint = ("llm.provider=openai", f"llm.base_url={chat_server.base_url}", "agents.symbolic_share=0")
        return search(*endpoint, "search.max_candidates=4", "advanced.layer_error=null", *words, **options)

    return run


def archived(run):
    archive = Archive(run.archive_file)
    found = archive.outcomes(), archive.proposals()
    archive.close()
    return found
