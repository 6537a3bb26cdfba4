"""The state machine hands a whole generation to the executor at once, whatever the number of cores."""

import os
import threading

from autoprune.executors.in_process import InProcessExecutor
from autoprune.llm.provider import choose_llm
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog
from autoprune.search.session import open_context, work
from tests.executors.conftest import archived

GENERATION = min(32, (os.cpu_count() or 1) + 4) + 1
"""One more than the threads that Python's pools have by themselves."""
REACHED = ("measured", "stopped", "duplicate", "failed")


class Meeting(InProcessExecutor):
    """Measures no candidate of the search before all that are expected are there."""

    def expect(self, names):
        self.expected = set(names)
        self.meeting = threading.Barrier(len(self.expected), timeout=300)

    def measure(self, job):
        if job.name in self.expected:
            self.expected.remove(job.name)
            self.meeting.wait()
        return super().measure(job)


def test_a_generation_is_measured_side_by_side(small_config, tmp_path, search):
    words = (f"search.generation_size={GENERATION}", f"search.max_candidates={GENERATION}", "confirmation.seeds=1")
    alone = archived(search(*words, name="alone"))
    config = small_config(*words)
    run = RunDirectory.create(tmp_path / "met", config)
    events = EventLog(run.events_file)
    with open_context(run, config, choose_llm(config.llm), events) as context:
        executor = Meeting(context.workbench.bench, context.workbench.measurer.sandbox)
        executor.expect(each["candidate"] for each in alone["outcomes"] if each["status"] in REACHED)
        context.workbench.measurer.executor = executor
        work(context)
    events.close()
    assert executor.meeting.parties > GENERATION // 2
    assert not executor.expected
    assert archived(run) == alone
