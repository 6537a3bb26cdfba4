"""What may be said follows from verdicts, and verdicts from all comparisons together."""

import numpy as np
import pytest

from autoprune.errors import CandidateFailure
from autoprune.runs.measurement import Measurement
from autoprune.search.conclusion import Condition, comparisons, conclude, finalist_of
from autoprune.search.contenders import Contender, ContenderResult

TEXT = np.random.default_rng(0).normal(4.0, 0.4, 24)


def measured(log_perplexity, seed, kind="candidate", subject="x"):
    """Losses of that mean; a candidate's are by turns a little above and below, by a hundredth of a nat."""
    turns = 0.01 * (-1.0) ** np.arange(len(TEXT)) * (kind == "candidate")
    losses = TEXT - TEXT.mean() + log_perplexity + turns + 0.001 * seed
    return Measurement(
        subject=subject,
        split="report",
        perplexity=float(np.exp(losses.mean())),
        sparsity=0.6,
        window_losses=losses.tolist(),
        zeros=6,
        weights=10,
    )


def result(name, kind, log_perplexity, search=60.0, seeds=2):
    """A baseline has its own name, or that of the subject that was measured; candidates are given theirs."""
    candidate, subject = ("abc", "abc") if kind == "candidate" else ("", f"baseline:{name}")
    rows = {seed: measured(log_perplexity, seed, kind, subject) for seed in range(seeds)}
    return ContenderResult(Contender(name, kind, search, seeds, lambda workbench: rows[0], candidate=candidate), rows)


def condition(*results, sparsity=0.6):
    return Condition("m", sparsity, 15.0, list(results))


WANDA = result("wanda+uniform", "baseline", 4.00)
SDSA = result("wanda+sdsa", "baseline", 4.10, seeds=1)


def confirmed(*results):
    dense = {"name": "dense", "kind": "dense", "search": 16.0, "report": 15.0}
    return [dense, *(each.row() for each in results)], comparisons([condition(*results)])


def concluded(*results):
    return conclude(*confirmed(*results))


def test_every_candidate_is_compared_with_every_baseline_over_the_seeds_in_common():
    found = comparisons([condition(WANDA, SDSA, result("a", "candidate", 3.9), result("b", "candidate", 4.3))])
    assert [(each["candidate"], each["baseline"], each["seeds"], each["verdict"]) for each in found] == [
        ("a", "wanda+uniform", [0, 1], "better"),
        ("a", "wanda+sdsa", [0], "better"),
        ("b", "wanda+uniform", [0, 1], "worse"),
        ("b", "wanda+sdsa", [0], "worse"),
    ]


def test_all_conditions_are_one_family():
    near = result("a", "candidate", 3.9)
    alone = comparisons([condition(WANDA, near)])
    among = comparisons([condition(WANDA, near), condition(WANDA, near, sparsity=0.5)])
    assert len(among) == 2
    assert among[0]["p"] == alone[0]["p"]
    assert among[0]["p_holm"] == 2 * alone[0]["p_holm"]


def test_better_than_every_baseline_is_said_with_interval_and_seeds():
    said = concluded(WANDA, SDSA, result("a", "candidate", 3.9))
    assert said.startswith("a is better than every baseline on the report split, ")
    assert "of the best, wanda+uniform: -" in said
    assert "95 % interval -" in said
    assert "2 calibration seeds" in said


def test_a_lower_perplexity_alone_is_no_victory():
    near = result("a", "candidate", 3.9995)
    assert near.row()["report"] < WANDA.row()["report"] < SDSA.row()["report"]
    said = concluded(WANDA, SDSA, near)
    assert said.startswith("No candidate was shown to be better than every baseline on the report split")
    assert "1 better, 1 no difference shown" in said


def test_of_several_winners_the_one_that_the_search_split_put_first_is_named():
    first, second = result("a", "candidate", 3.8, search=50.0), result("b", "candidate", 3.5, search=55.0)
    assert concluded(WANDA, first, second).startswith("a is better")
    worse = result("c", "candidate", 4.5, search=40.0)
    assert concluded(WANDA, worse, second).startswith("b is better")
    assert "c against 1 baseline: 1 worse" in concluded(WANDA, worse)


def test_the_conclusion_is_about_the_first_winner_else_about_the_first_finalist():
    first, second = result("a", "candidate", 3.9998, search=50.0), result("b", "candidate", 3.5, search=55.0)
    assert finalist_of(*confirmed(WANDA, first, second))["name"] == "b"
    assert finalist_of(*confirmed(WANDA, first))["name"] == "a"
    assert finalist_of(*confirmed(first, second))["name"] == "a"
    assert finalist_of(*confirmed(WANDA)) is None


def test_better_than_the_dense_model_is_suspect():
    assert "suspect" in concluded(WANDA, result("a", "candidate", 2.0))


def failing(workbench):
    raise CandidateFailure("score", "exception", "no")


def test_what_failed_is_in_no_comparison_and_no_baseline_goes_missing_unsaid():
    broken = ContenderResult(Contender("a", "candidate", 50.0, 2, failing, "g1.c1", "abc"))
    broken.take(None, 0)
    broken.take(None, 1)
    assert broken.row()["report"] is None
    assert broken.row()["problem"] == "score: exception: no"
    assert comparisons([condition(WANDA, broken)]) == []
    assert concluded(WANDA, broken).endswith("no candidate was measured.")
    lost = ContenderResult(Contender("magnitude+sdsa", "baseline", 50.0, 1, failing))
    lost.take(None, 0)
    assert concluded(WANDA, lost, result("a", "candidate", 3.9)).endswith("Not measured: magnitude+sdsa.")


def test_the_perplexity_of_several_seeds_is_that_of_their_mean_loss():
    several = result("a", "candidate", 4.0, seeds=3).row()
    losses = [measured(4.0, seed).window_losses for seed in range(3)]
    assert several["report"] == pytest.approx(float(np.exp(np.mean(losses))))
    assert (several["seeds"], len(several["by_seed"])) == ([0, 1, 2], 3)


def updating(made):
    """The same result in the league with updates."""
    rows = {seed: row.model_copy(update={"league": "update"}) for seed, row in made.measured.items()}
    return ContenderResult(made.contender, rows)


def test_a_candidate_is_held_against_the_baselines_of_its_own_league():
    obs = updating(result("wanda+obs+uniform", "baseline", 3.5))
    masks = concluded(WANDA, obs, result("a", "candidate", 3.9))
    assert masks.startswith("a is better than every baseline of its league (mask only) on the report split, ")
    assert "of the best, wanda+uniform" in masks
    behind = concluded(WANDA, obs, updating(result("a", "candidate", 3.9)))
    assert behind.startswith("No candidate was shown to be better than every baseline of its league (with update)")
    assert "a against 1 baseline: 1 worse" in behind


def test_a_comparison_across_leagues_is_said_to_be_one():
    said = concluded(WANDA, updating(result("a", "candidate", 3.9)))
    sentence = (
        "It is in the league 'with update', these baselines are in 'mask only', so the comparison crosses leagues."
    )
    assert said.endswith(sentence)
