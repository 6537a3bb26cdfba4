"""What the pool does about workers that are lost: with hands that fail as they are told, and no processes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autoprune.errors import AutoPruneError, CandidateFailure, UsageError
from autoprune.evaluation.recipe import Recipe
from autoprune.executors.base import Job
from autoprune.executors.pool import MOST_LOST, Pool, WorkerLost
from autoprune.runs.measurement import Measurement

MEASURED = Measurement(subject="a", split="search", perplexity=20.0, window_losses=[3.0], windows=1)
WITH_GRADIENT = "def score(layer):\n    return layer.gradient"


class FailingHandle:
    """A worker that is lost over jobs whose name is `fatal`, and answers the others."""

    def __init__(self, place, *, opens=None):
        self.name = f"worker {place + 1}"
        self.opens = opens
        self.dead = self.closed = False
        self.provided = []

    def open(self):
        if isinstance(self.opens, WorkerLost):
            raise self.opens
        return self.opens

    def check(self):
        if self.dead:
            raise WorkerLost("killed by SIGKILL")

    def provide(self, bundle):
        self.provided.append(bundle)

    def measure(self, job):
        if job.name == "fatal":
            raise WorkerLost("killed by SIGKILL")
        if job.name == "bad":
            return CandidateFailure("score", "exception", "its own fault")
        return MEASURED.model_copy(update={"diagnostics": self.name})

    def verify(self):
        return None

    def close(self):
        self.closed = True


def job(name, source="def score(layer):\n    return layer.weight"):
    return Job(name, source, Recipe(0.5), "search")


@pytest.fixture
def open_pool(logged):
    """Makes pools of such hands: the pool, the hands that were started, and what was said."""
    pools = []

    def make(workers=2, start=FailingHandle):
        hands = []

        def started(place):
            hands.append(start(place))
            return hands[-1]

        pool = Pool(started, workers, {"threads": 1}, lambda fields: Path("-".join(fields)))
        pools.append(pool)
        return pool, hands, logged

    yield make
    for pool in pools:
        pool.close()


def test_a_job_over_which_three_workers_are_lost_is_a_failure_and_the_others_go_on(open_pool):
    pool, hands, said = open_pool()
    with pytest.raises(CandidateFailure, match="3 workers were lost while they measured it; the last one: killed by"):
        pool.measure(job("fatal"))
    assert [("which is measured again" in line, "lost over it" in line) for line in said] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    assert "was lost (killed by SIGKILL) while it measured candidate fatal" in said[0]
    assert pool.measure(job("good")).window_losses == MEASURED.window_losses
    assert sum(hand.closed for hand in hands) == MOST_LOST


def test_a_candidates_own_failure_costs_no_worker(open_pool):
    pool, hands, said = open_pool()
    pool.wait_until_warm()
    with pytest.raises(CandidateFailure, match="its own fault"):
        pool.measure(job("bad"))
    assert (len(hands), said) == (2, [])


def test_a_worker_that_died_while_it_had_nothing_to_do_is_replaced_and_counts_against_nobody(open_pool):
    pool, hands, said = open_pool(workers=1)
    for _ in range(MOST_LOST + 1):
        pool.measure(job("good"))
        hands[-1].dead = True
    assert pool.measure(job("good")).diagnostics == "worker 1"
    assert len(said) == MOST_LOST + 1
    assert "while it had nothing to do; another worker takes its place" in said[0]


def test_as_many_jobs_as_workers_run_side_by_side(open_pool):
    meeting = threading.Barrier(3, timeout=60)

    class MeetingHand(FailingHandle):
        def measure(self, job):
            meeting.wait()  # nobody is done before all have begun
            return super().measure(job)

    pool, _, _ = open_pool(3, MeetingHand)
    with ThreadPoolExecutor(3) as threads:
        assert len(list(threads.map(pool.measure, [job("a"), job("b"), job("c")]))) == 3


def test_on_demand_statistics_are_collected_once_here_and_provided_to_who_needs_them(open_pool):
    pool, hands, _ = open_pool(workers=1)
    pool.measure(job("good"))
    assert hands[0].provided == []
    pool.measure(job("good", WITH_GRADIENT))
    assert hands[0].provided == [Path("gradient")]


def test_what_keeps_a_worker_from_starting_is_said_for_every_job(open_pool):
    pool, _, _ = open_pool(2, lambda place: FailingHandle(place, opens=UsageError("another version of torch")))
    for _ in range(2):
        with pytest.raises(UsageError, match="another version of torch"):
            pool.measure(job("good"))


def test_workers_that_end_while_they_start_are_tried_a_few_times(open_pool):
    pool, hands, _ = open_pool(1, lambda place: FailingHandle(place, opens=WorkerLost("exit code 1: no such module")))
    with pytest.raises(AutoPruneError, match=r"3 workers in a row ended .* no such module"):
        pool.measure(job("good"))
    assert len(hands) == MOST_LOST


def test_a_target_that_was_changed_in_a_worker_is_an_error(open_pool):
    class SpoiltHand(FailingHandle):
        def verify(self):
            return AutoPruneError("the weights changed")

    pool, _, _ = open_pool(1, SpoiltHand)
    pool.measure(job("good"))
    with pytest.raises(AutoPruneError, match="the weights changed"):
        pool.verify()
