"""The recordings that come with the package: replayed under what they recorded."""

import pytest

from autoprune.config import load_config
from autoprune.config_migration import CONSTANTS, MOVED
from autoprune.errors import UsageError
from autoprune.llm.recorded_settings import FORMER, defaults
from autoprune.llm.recording import Recording
from autoprune.recordings import HOME


@pytest.mark.parametrize("file", sorted(HOME.glob("*.jsonl")), ids=lambda file: file.stem)
def test_a_shipped_recording_is_replayed_under_all_that_it_recorded(file):
    recorded = Recording.read(file).header.settings
    taken = defaults(recorded)
    expected = {MOVED.get(key, key): value for key, value in recorded.items() if key not in CONSTANTS}
    # All operators, when there was none that leaves a slot of the model without a reply.
    operators = recorded["agents.operators"] or list(FORMER)
    assert taken == {**expected, "agents.operators": operators}
    assert not {"recombine", "deepen", "polish"} & set(taken["agents.operators"])
    assert taken["confirmation.finalists"] == 2
    assert taken["advanced.deepen"] == 0
    assert load_config(None, [], taken).baselines.allocations == ["uniform", "sdsa", "atp"]


def test_a_recording_under_another_constant_is_refused():
    with pytest.raises(UsageError, match=r"search\.elite=5 is no setting any more"):
        defaults({"search.elite": 5})
