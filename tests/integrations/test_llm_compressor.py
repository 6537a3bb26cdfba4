"""`AlgorithmModifier` in llm-compressor's own `oneshot`: the masks are those of `autoprune prune`."""

import pytest

pytest.importorskip("llmcompressor", reason="llm-compressor is installed by its users, beside autoprune")

import torch
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.pruning import WandaPruningModifier
from transformers import AutoModelForCausalLM, AutoTokenizer

import autoprune
from autoprune.config import load_config
from autoprune.errors import AutoPruneError, UsageError
from autoprune.evaluation.bench import open_bench
from autoprune.integrations.llm_compressor import AlgorithmModifier

SEQLEN, SAMPLES, BLOCKS, LAYERS = 48, 4, 3, 21
TIES = 0.002
"""Share of a layer's masks that may differ: scores that are equal but for the order of sums in float32."""

SCORE = """
def score(layer):
    return layer.weight.abs() * layer.input_norm.sqrt()
"""
HESSIAN = """
import torch

def score(layer):
    return layer.weight.abs() * layer.hessian.diagonal().sqrt()

def refine(layer, mask):
    return mask.flip(0) if mask.shape[0] % 2 else mask

def update(layer, mask):
    return layer.weight * mask * 0.5
"""


@pytest.fixture(scope="module")
def tokens(tiny_model, tmp_path_factory):
    """The calibration windows [samples, seqlen] of `autoprune prune` with these settings."""
    words = [f"model={tiny_model}", "dtype=float32", "device=cpu", "data.bos=never", f"data.seqlen={SEQLEN}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        config = load_config(None, [*words, f"data.calibration_samples={SAMPLES}", "data.search_windows=2"])
        return open_bench(config, None).windows("calibration").tokens


@pytest.fixture
def by_llm_compressor(tiny_model, tokens):
    """Layer -> weight after `oneshot` with a modifier."""

    def run(modifier, pipeline="sequential"):
        model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        rows = {"input_ids": tokens.tolist(), "attention_mask": torch.ones_like(tokens).tolist()}
        oneshot(
            model=model,
            tokenizer=AutoTokenizer.from_pretrained(tiny_model),
            dataset=Dataset.from_dict(rows),
            recipe=[modifier],
            num_calibration_samples=len(tokens),
            max_seq_length=SEQLEN,
            shuffle_calibration_samples=False,
            pipeline=pipeline,
        )
        return linears(model)

    return run


@pytest.fixture
def by_autoprune(tiny_model, cache):
    def run(algorithm, **words):
        fixed = {"allocation": "uniform", "bos": "never", "dtype": "float32", "device": "cpu", "sandbox": "local"}
        sizes = {"seqlen": SEQLEN, "calibration_samples": SAMPLES, "windows": 3}
        return linears(autoprune.prune(tiny_model, algorithm, **fixed, **sizes, **words).model)

    return run


def linears(model):
    linear = [(name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    return {name: module.weight.detach() for name, module in linear}


def check_same(ours, theirs):
    pruned = [name for name in ours if "layers." in name]
    assert len(pruned) == LAYERS
    for name in pruned:
        differing = ((ours[name] == 0) != (theirs[name] == 0)).float().mean()
        assert differing <= TIES, f"{name}: {differing:.2%} of the mask differs"
        assert (ours[name] == 0).sum() == (theirs[name] == 0).sum()


@pytest.mark.parametrize(("pipeline", "statistics"), [("sequential", "sequential"), ("basic", "dense")])
def test_a_published_score_gives_the_masks_of_prune_under_either_pipeline(
    by_llm_compressor, by_autoprune, pipeline, statistics
):
    theirs = by_llm_compressor(AlgorithmModifier(algorithm="wanda", sparsity=0.5), pipeline)
    ours = by_autoprune("wanda", sparsity=0.5, statistics=statistics)
    check_same(ours, theirs)
    assert (theirs["lm_head"] != 0).all()


def test_wanda_is_llm_compressors_own_wanda(by_llm_compressor):
    own = by_llm_compressor(WandaPruningModifier(sparsity=0.5, ignore=["re:.*lm_head.*"]))
    check_same(by_llm_compressor(AlgorithmModifier(algorithm="wanda", sparsity=0.5)), own)


def test_a_pattern_prunes_n_of_m_as_in_llm_compressor(by_llm_compressor, by_autoprune):
    theirs = by_llm_compressor(AlgorithmModifier(algorithm="wanda", mask_structure="2:4"))
    check_same(by_autoprune("wanda", pattern="2:4", statistics="sequential"), theirs)
    one = by_llm_compressor(AlgorithmModifier(algorithm="magnitude", mask_structure="1:4"))
    weight = next(weight for name, weight in one.items() if "layers." in name)
    assert ((weight == 0).view(len(weight), -1, 4).sum(2) == 1).all()


@pytest.mark.parametrize("source", [SCORE, HESSIAN], ids=["score", "refine-and-update"])
def test_a_file_runs_in_the_sandbox_and_gives_what_prune_gives(by_llm_compressor, by_autoprune, tmp_path, source):
    file = tmp_path / "mine.py"
    file.write_text(source)
    theirs = by_llm_compressor(AlgorithmModifier(algorithm=str(file), sparsity=0.5, sandbox="local"))
    ours = by_autoprune(str(file), sparsity=0.5, statistics="sequential")
    check_same(ours, theirs)
    for name in ours:
        both = (ours[name] != 0) & (theirs[name] != 0)
        assert torch.allclose(ours[name][both], theirs[name][both])


def test_what_is_ignored_stays_dense_and_sparsities_may_differ_by_target(by_llm_compressor):
    modifier = AlgorithmModifier(
        algorithm="magnitude",
        sparsity=[0.25, 0.5, 0.75],
        targets=[f"model.layers.{block}" for block in range(BLOCKS)],
        ignore=["re:.*down_proj"],
    )
    shares = {
        name: (weight == 0).float().mean().item()
        for name, weight in by_llm_compressor(modifier).items()
        if "layers." in name
    }
    for name, share in shares.items():
        block = int(name.split(".")[2])
        assert share == pytest.approx(0 if "down_proj" in name else 0.25 * (1 + block), abs=0.001)


def test_what_cannot_be_used_is_one_line(by_llm_compressor, tmp_path):
    with pytest.raises(UsageError, match="unknown algorithm 'wandaa'"):
        AlgorithmModifier(algorithm="wandaa")
    file = tmp_path / "mine.py"
    file.write_text("def score(layer):\n    return layer.gradient\n")
    with pytest.raises(UsageError, match="reads gradient of backward passes"):
        by_llm_compressor(AlgorithmModifier(algorithm=str(file), sandbox="local"))
    file.write_text("def score(layer):\n    return layer.weight[0]\n")
    with pytest.raises(AutoPruneError, match=r"mine\.py failed: check: shape"):
        by_llm_compressor(AlgorithmModifier(algorithm=str(file), sandbox="local"))
