"""The notes beside a candidate's file, as Markdown: thought, lineage, settings of the search, confirmation, use."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autoprune.config import Config
from autoprune.report.budget import budget, compared
from autoprune.report.candidate import ancestors, ending
from autoprune.report.confirmation import confirmation
from autoprune.report.markdown import escaped, fenced, in_sections
from autoprune.report.origin import Origin, without_folder
from autoprune.report.text import REASONING, visible
from autoprune.runs.archive import Proposal

SAID = 2000
"""Maximum characters of each part of a thought."""
ANCESTORS = 12
PEERS = {"depth": "shortgpt"}
"""The published method beside which a candidate of a structure is compared, by default wanda-sp."""
LEFT_OUT = ("expression", "importance", "formula", "allocation", REASONING)
"""Parts of a thought that the source contains, the formula, which stands first, and the reasoning, which can be very
long."""
LONGEST_OF_FUNCTION = 8000
LONGEST = 200_000
"""Maximum characters of the notes."""


def algorithm_notes(origin: Origin, name: str) -> str:
    """The text of the notes. `name`: of the Python file, for example commands."""
    return visible("\n\n".join(_blocks(origin, name)), LONGEST) + "\n"


def function_notes(origin: Origin, name: str) -> str:
    """The notes of a function that was distilled from a candidate, without its lineage in short."""
    blocks = [f"# {escaped(name, SAID)}", escaped(origin.made_by, SAID)]
    if thought := dict(_thought(origin)):
        blocks += ["## Thought", _items(thought)]
    blocks += ["## Search", _items(_settings(origin))]
    return visible("\n\n".join(blocks), LONGEST_OF_FUNCTION)


def _blocks(origin: Origin, name: str) -> Iterator[str]:
    yield f"# {escaped(Path(name).stem, SAID)}"
    yield escaped(origin.made_by, SAID)
    if origin.picture.recorded:
        yield f"A replay: {escaped(origin.picture.recorded, SAID)}."
    if thought := dict(_thought(origin)):
        yield "## Thought"
        yield _items(thought)
    if slots := ancestors(origin.proposals, origin.outcomes, origin.slot):
        yield "## Lineage"
        left_out = f" The oldest {len(slots) - ANCESTORS} are omitted." if len(slots) > ANCESTORS else ""
        yield f"Oldest first; of several parents, the one with the best measurement.{left_out}"
        yield "\n".join(_ancestor(origin, slot) for slot in slots[-ANCESTORS:])
    yield "## Search"
    yield _items(_settings(origin))
    yield "## Confirmation"
    if origin.confirmed is None:
        yield "The candidate was not measured on the report split."
    else:
        yield from in_sections(confirmation(origin.picture), level=3)
    yield "## Use"
    yield fenced((visible(line).replace("\n", " ") for line in _use(origin, name)), "bash")


def _items(facts: dict[str, Any]) -> str:
    return "\n".join(f"- **{escaped(key, SAID)}**: {escaped(value, SAID)}" for key, value in facts.items())


def _thought(origin: Origin) -> Iterator[tuple[str, str]]:
    thought = origin.proposal.thought
    if origin.formula:
        yield "formula", origin.formula
    for key, value in thought.items():
        if value and key not in LEFT_OUT:
            yield key.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if origin.sentence:
        yield f"explanation, by the {origin.picture.explained['by']}", origin.sentence


def _ancestor(origin: Origin, slot: str) -> str:
    name = f"- **{escaped(slot, SAID)}**"
    if slot not in origin.outcomes:
        return f"{name}: a published score"
    proposal: Proposal = origin.proposals[slot]
    parents = ", ".join(proposal.parents) or "nothing"
    idea = escaped(proposal.thought.get("idea", ""), SAID)
    return f"{name} ({escaped(f'{proposal.operator} from {parents}', SAID)}): {idea}; " + escaped(
        ending(origin.outcomes[slot], 200), SAID
    )


def _settings(origin: Origin) -> dict[str, str]:
    """The settings that the measurements depend on, and the result on the search split."""
    config, record = origin.config, origin.record
    data = config.data
    source, calibration = without_folder(data.source), without_folder(data.calibration)
    token = record.get("texts", {}).get("search", {}).get("bos")
    bos = f", each preceded by {token}" if token else ""
    settings = {
        "model": f"{origin.model} (fingerprint {record.get('model', '?')}, {record.get('dtype', '?')})",
        **_budget_facts(config),
        "text": f"{source} for search and report, {calibration} for calibration, {data.calibration_samples} sequences "
        f"of {data.seqlen} tokens{bos}; statistics: dense",
        "windows": f"{data.search_windows} for search, {data.report_windows} for report",
        "seed": str(config.seed),
    }
    return settings | ({"search split": ending(origin.outcome)} if origin.outcome else {})


def _budget_facts(config: Config) -> dict[str, str]:
    settings = config.search
    if settings.structure is not None:
        return {
            "structure": settings.structure,
            "share of the decoder blocks' parameters that is removed": f"{config.sparsity:g}",
            "compensation if the source has no update": settings.compensate,
        }
    allocation = config.allocation.model_dump(exclude_none=True)
    default = ", ".join(f"{key} {value}" for key, value in allocation.items())
    return {"sparsity": f"{config.sparsity:g}", "allocation if the source has none": default}


def _use(origin: Origin, name: str) -> Iterator[str]:
    """Commands that apply the file as the search did, but for settings that there are no more."""
    config = origin.config
    file, model = shlex.quote(name), shlex.quote(origin.model)
    own = re.search(r"^def allocate\b", origin.source, re.MULTILINE) is not None
    yield from (f"# The run had another setting: {line}" for line in origin.outdated)
    if config.search.structure is not None:
        yield f"autoprune prune --model {model} --algorithm {file} {budget(config, origin.source)} --out smaller"
        other = PEERS.get(config.search.structure, "wanda-sp")
        yield f"autoprune compare --model {model} --algorithms {file},{other} {compared(config, origin.source)}"
        return
    allocation, other = ("own", "own,sdsa") if own else (config.allocation.name, config.allocation.name)
    yield f"autoprune prune --model {model} --algorithm {file} --sparsity {config.sparsity:g} \\"
    yield f"    --allocation {allocation} --out pruned"
    yield f"autoprune compare --model {model} --algorithms {file},wanda --sparsity {config.sparsity:g} \\"
    yield f"    --allocations {other}"
