"""Published scores as ancestors."""

from types import SimpleNamespace

from autoprune.report.html.course import lineage


def test_a_published_score_is_drawn_at_its_best_baseline_without_swaps():
    baselines = {"wanda+uniform": 60.4, "wanda+sdsa": 61.1, "wanda+swaps+sdsa": 34.2}
    proposals = [SimpleNamespace(slot="g1.c1", parents=["seed.wanda"], generation=1)]
    picture = SimpleNamespace(baselines=baselines, best=None)
    material = SimpleNamespace(picture=picture, proposals=proposals, outcomes={}, candidates=[])
    assert [(each["slot"], each["perplexity"]) for each in lineage(material)["points"]] == [("seed.wanda", 60.4)]
