"""`autoprune prune`, as its users start it."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

WEIGHTS = 25_344
SMALL = ["--seqlen", "48", "--windows", "3", "--calibration-samples", "4"]


@pytest.fixture
def prune(autoprune, tiny_model):
    """Run `autoprune prune` on the tiny model with small texts."""

    def run(*words: str, model: object = tiny_model):
        return autoprune("prune", "--model", str(model), *SMALL, *words)

    return run


@pytest.fixture
def prune_here(here, tiny_model):
    """The same inside this process."""
    return lambda *words: here("prune", "--model", str(tiny_model), *SMALL, *words)


def zeros_in(folder) -> int:
    model = AutoModelForCausalLM.from_pretrained(folder)
    return sum(int((weight == 0).sum()) for name, weight in model.named_parameters() if "proj" in name)


def test_what_is_written_loads_anywhere_has_the_promised_zeros_and_measures_as_its_card_says(
    prune, autoprune, tiny_model, tmp_path
):
    done = prune("--out", "pruned", "--sparsity", "0.6", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["zeros"] == zeros_in(tmp_path / "pruned") == round(0.6 * WEIGHTS)
    assert said["recipe"]["allocation"] == "sdsa"
    AutoTokenizer.from_pretrained(tmp_path / "pruned")
    card = (tmp_path / "pruned" / "README.md").read_text()
    assert f"{said['perplexity']:.6g}" in card
    assert said["calibration"]["fingerprint"] in card
    assert f"Pruned with AutoPrune from `{tiny_model.name}`" in card  # without the folders of this machine
    measured = autoprune("evaluate", "pruned", "--seqlen", "48", "--windows", "3", "--dtype", "float32", "--json")
    again = json.loads(measured.stdout)
    assert again["perplexity"] == pytest.approx(said["perplexity"], rel=1e-4)
    assert again["sparsity"] == pytest.approx(0.6, abs=1e-4)
    assert again["text_fingerprint"] == said["perplexity_text"]["fingerprint"]


@pytest.mark.parametrize(
    "words",
    [
        ["--algorithm", "sparsegpt", "--update", "obs", "--statistics", "sequential", "--sparsity", "0.5"],
        ["--refinement", "swaps", "--allocation", "uniform", "--sparsity", "0.5"],
        ["--algorithm", "gblm", "--allocation", "owl", "--sparsity", "0.5", "--unit", "projection"],
        ["--allocation", "sdsa-online", "--statistics", "sequential", "--sparsity", "0.5"],
        ["--pattern", "2:4"],
        ["--pattern", "4:8", "--update", "obs", "--statistics", "sequential", "--offload", "none"],
    ],
)
def test_every_kind_of_recipe_keeps_the_budget(prune_here, tmp_path, words):
    done = prune_here("--out", "pruned", *words)
    assert done.returncode == 0, done.stderr
    assert zeros_in(tmp_path / "pruned") == WEIGHTS // 2
    assert f"{WEIGHTS // 2:,} of {WEIGHTS:,} (50.00%)" in done.stdout


def test_statistics_are_sequential_by_default_where_kept_weights_are_updated(prune_here):
    found = []
    for place, update in enumerate(("none", "obs")):
        done = prune_here("--out", f"pruned{place}", "--update", update, "--json")
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout)["recipe"]["statistics"])
    assert found == ["dense", "sequential"]


def test_a_packed_file_restores_the_directory(prune, autoprune, tmp_path):
    done = prune("--out", "pruned", "--sparsity", "0.7", "--packed", "model.packed", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["packed_bytes"] == (tmp_path / "model.packed").stat().st_size
    assert said["packed_bytes"] < said["bytes"]
    assert autoprune("unpack", "model.packed", "--out", "restored").returncode == 0
    for file in (tmp_path / "pruned").iterdir():
        if file.suffix != ".safetensors":
            assert (tmp_path / "restored" / file.name).read_bytes() == file.read_bytes()
    first, second = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("pruned", "restored"))
    for (name, one), (_, other) in zip(first.named_parameters(), second.named_parameters(), strict=True):
        assert torch.equal(one, other), name


def test_the_files_keep_the_dtype_that_the_model_had(prune, tiny_model, tmp_path):
    halved = shutil.copytree(tiny_model, tmp_path / "halved")
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(halved)
    assert prune("--out", "pruned", model=halved).returncode == 0
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "pruned", dtype="auto")
    assert model.dtype == torch.bfloat16


def test_a_candidate_prunes_with_its_own_allocation(prune, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def score(layer):\n    return layer.weight.abs()\n\n"
        "def allocate(units, sparsity):\n    return [1.0 - unit.depth for unit in units]\n"
    )
    done = prune("--out", "pruned", "--algorithm", "mine.py", "--sandbox", "local", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recipe"]["allocation"] == "own"
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "pruned")
    share = [float((model.model.layers[at].mlp.up_proj.weight == 0).float().mean()) for at in range(3)]
    assert share[0] < share[1] < share[2]
    assert json.loads(done.stdout)["zeros"] == WEIGHTS // 2


def test_a_candidate_that_fails_is_one_line_and_exit_1(prune, tmp_path):
    (tmp_path / "broken.py").write_text("def score(layer):\n    raise ValueError('no idea')\n")
    done = prune("--out", "pruned", "--algorithm", "broken.py", "--sandbox", "local")
    assert done.returncode == 1
    assert "broken.py failed: score: exception:" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "pruned").exists()


def test_a_candidate_that_takes_longer_than_it_may_is_one_line_and_exit_1(prune_here, tmp_path):
    (tmp_path / "slow.py").write_text("def score(layer):\n    while True:\n        pass\n")
    done = prune_here("--out", "pruned", "--algorithm", "slow.py", "--sandbox", "local", "--sandbox-seconds", "2")
    assert done.returncode == 1
    assert "slow.py failed: score: timeout: no answer within 2 s" in done.stderr.splitlines()[-1]


def test_a_candidate_that_uses_more_memory_than_it_may_is_one_line_and_exit_1(prune_here, tmp_path):
    (tmp_path / "large.py").write_text(
        "def score(layer):\n    layer.weight.new_ones(2**25).sum()\n    return layer.weight.abs()\n"
    )
    words = ("--algorithm", "large.py", "--sandbox", "local")
    assert prune_here("--out", "enough", *words, "--sandbox-memory", "2048").returncode == 0
    done = prune_here("--out", "pruned", *words, "--sandbox-memory", "50")
    assert done.returncode == 1
    assert "large.py failed: score: memory: " in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--sparsity", "1.2"], "1.2"),
        (["--pattern", "2:4", "--sparsity", "0.6"], "means a sparsity of 0.5, not 0.6"),
        (["--pattern", "3:5"], "divisible by 5"),
        (["--allocation", "own"], "brings no allocation"),
        (["--algorithm", "best"], "unknown algorithm 'best'"),
        (["--update", "all"], "'all' is not one of none, admm, admm-own, alps, alps-own, obs"),
        (["--offload", "cuda"], "--offload = 'cuda'"),
        (["--offload", "memory", "--device", "cpu"], "offload=memory is for a GPU"),
        (["--offload", "disk"], "needs it in memory"),
        (["--calibration", "none.txt"], "none.txt"),
        (["--out", "taken"], "taken exists already"),
    ],
)
def test_input_that_cannot_be_used_is_one_line_and_exit_2_and_nothing_is_written(
    prune_here, tmp_path, words, complaint
):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("precious")
    done = prune_here("--out", "pruned", *words)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert complaint in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "pruned").exists()
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["mine.txt"]


def test_what_an_algorithm_updates_itself_is_what_is_written(prune_here, tmp_path):
    source = (
        "def score(layer):\n    return layer.weight.abs()\n\n"
        "def refine(layer, mask):\n    return mask.flip(1)\n\n"
        "def update(layer, mask):\n    return 0.5 * layer.weight * mask\n"
    )
    (tmp_path / "mine.py").write_text(source)
    done = prune_here("--algorithm", "mine.py", "--sparsity", "0.5", "--allocation", "uniform", "--out", "p", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["league"], said["zeros"]) == ("update", WEIGHTS // 2)
    assert zeros_in(tmp_path / "p") == WEIGHTS // 2
