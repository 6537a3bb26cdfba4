"""What a strong model is told of the baselines."""

from autoprune.agents.baseline_table import baseline_table, densities
from autoprune.pruning.layers import LayerInfo
from autoprune.runs.measurement import LayerDiagnostic, Measurement

LAYERS = [
    LayerInfo(f"layers.{block}.{role}", role, block, block / 2, (2, 4), f"layers.{block}")
    for block in range(3)
    for role in ("q", "up")
]


def row(subject, perplexity, seconds=0.0, **more):
    return Measurement(
        subject=f"baseline:{subject}",
        split="search",
        perplexity=perplexity,
        sparsity=0.5,
        layers=[
            LayerDiagnostic(name=layer.name, sparsity=0.25 * (1 + layer.block), relative_error=0.1) for layer in LAYERS
        ],
        seconds={"mask": seconds},
        zeros=24,
        weights=48,
        seqlen=8,
        windows=2,
        window_losses=[3.0, 4.0],
        layer_errors=[0.02, 0.04],
        reference_errors=[0.03, 0.05],
        sampled_layers=2,
        **more,
    )


def test_the_best_comes_with_its_densities_and_each_with_its_seconds_where_it_was_measured_now():
    told = baseline_table([row("wanda+swaps+sdsa", 34.2, 14.6), row("wanda+uniform", 60.4, untuned=True)], LAYERS, 14.7)
    head, best, other = told.splitlines()
    assert "16 rounds of swaps" in head
    assert best.startswith("- wanda+swaps+sdsa: 34.20, weighted reconstruction error 0.75 x Wanda's, masks in 15 s <- ")
    assert "this is what you have to beat" in best
    assert "q 0.750/0.500/0.250, up 0.750/0.500/0.250" in best
    assert other == "- wanda+uniform: 60.40 (untuned), weighted reconstruction error 0.75 x Wanda's"


def test_the_best_of_each_league_is_marked():
    rows = [row("wanda+obs+sdsa", 30.0, league="update"), row("wanda+sdsa", 55.0), row("wanda+uniform", 60.4)]
    head, updated, best, other = baseline_table(rows, LAYERS, 14.7).splitlines()
    assert "`+obs`: kept weights are updated by OBS, as in SparseGPT." in head
    assert "<- this is what you have to beat with an `update`." in updated
    assert "<- this is what you have to beat." in best
    assert "<-" not in other


def test_without_refined_baselines_nothing_is_said_of_swaps():
    assert "swaps" not in baseline_table([row("wanda+uniform", 60.4)], LAYERS, 14.7)


def test_layers_of_which_nothing_is_known_have_no_density():
    assert densities(row("wanda+uniform", 60.4), []) == ""


def test_the_blocks_at_the_ends_have_their_density_where_there_are_others():
    layers = [LayerInfo(f"{block}.q", "q", block, block / 5, (2, 4), f"{block}") for block in range(6)]
    diagnostics = [LayerDiagnostic(name=layer.name, sparsity=0.1 * layer.block, relative_error=0.1) for layer in layers]
    deep = row("wanda+uniform", 60.4).model_copy(update={"layers": diagnostics})
    assert densities(deep, layers).endswith("; blocks 0/1/4/5: 1.000/0.900/0.600/0.500.")
    assert "blocks" not in densities(row("wanda+uniform", 60.4), LAYERS)
