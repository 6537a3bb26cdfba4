"""`--structure` of `autoprune prune` and `autoprune compare`, as their users start them."""

import json

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.models.reductions import random_model

MINE = (
    'STRUCTURE = "channel"\n\n\ndef score(structures):\n    read = structures.consumer\n'
    "    return (read.weight.square().sum(-1) * read.input_var).sum(1)\n"
)
SMALL = ["--seqlen", "48", "--windows", "3", "--calibration-samples", "4"]
BLOCK_PARAMETERS = 25_344 + 3 * 64
ROW = {
    *("algorithm", "structure", "compensate", "params_target", "params_removed", "parameters", "bytes", "blocks"),
    *("ffn_width", "heads", "key_value_heads", "perplexity", "seqlen", "windows", "bos", "seed", "seconds", "failed"),
    "repeatable",
}


@pytest.fixture
def prune_here(here, tiny_model):
    return lambda *words: here("prune", "--model", str(tiny_model), *SMALL, *words)


@pytest.fixture
def compare_here(here, tiny_model):
    return lambda *words: here("compare", "--model", str(tiny_model), *SMALL, "--dtype", "float32", *words)


def blocks_on_disk(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    return sum(parameter.numel() for parameter in model.model.layers.parameters())


def test_a_reduced_model_loads_anywhere_is_smaller_as_promised_and_measures_as_its_card_says(
    autoprune, tiny_model, tmp_path
):
    words = ["--structure", "width", "--params", "0.3", "--algorithm", "flap", "--compensate", "least-squares"]
    done = autoprune("prune", "--model", str(tiny_model), *SMALL, *words, "--out", "small", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    removed = BLOCK_PARAMETERS - blocks_on_disk(tmp_path / "small")
    assert removed == round(said["params_removed"] * BLOCK_PARAMETERS) == said["parameters_dense"] - said["parameters"]
    assert abs(removed - 0.3 * BLOCK_PARAMETERS) <= 3 * 96 / 2
    assert said["shape"] == {**said["shape_dense"], "ffn_width": 29}
    AutoTokenizer.from_pretrained(tmp_path / "small")
    card = (tmp_path / "small" / "README.md").read_text()
    assert f"{said['perplexity']:.6g}" in card
    assert "30.5% of the decoder blocks' parameters removed" in card
    assert json.loads((tmp_path / "small" / "autoprune.json").read_text())["recipe"]["compensate"] == "least-squares"
    measured = autoprune("evaluate", "small", "--seqlen", "48", "--windows", "3", "--dtype", "float32", "--json")
    assert json.loads(measured.stdout)["perplexity"] == pytest.approx(said["perplexity"], rel=1e-4)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--structure", "depth", "--params", "0.3"], "blocks 3 to 2"),
        (["--structure", "heads"], "heads 4 to 2, key value heads 2 to 1"),
        (["--structure", "mix", "--params", "0.4", "--compensate", "bias"], "ffn width 56 to 37, heads 4 to 2"),
        (["--structure", "width", "--multiple", "8"], "ffn width 56 to 40"),
    ],
)
def test_the_command_says_what_was_removed(prune_here, tmp_path, words, shown):
    done = prune_here("--out", "small", *words)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
    assert "perplexity" in done.stdout
    assert blocks_on_disk(tmp_path / "small") < BLOCK_PARAMETERS


def test_a_reduced_model_can_be_reduced_again_and_pruned(here, prune_here, tmp_path):
    assert prune_here("--out", "small", "--structure", "depth", "--params", "0.3").returncode == 0
    again = here("prune", "--model", "small", *SMALL, "--structure", "width", "--params", "0.2", "--out", "smaller")
    assert again.returncode == 0, again.stderr
    sparse = here("prune", "--model", "smaller", *SMALL, "--sparsity", "0.5", "--out", "sparse")
    assert sparse.returncode == 0, sparse.stderr


def test_rows_hold_the_contract_and_every_published_method_with_and_without_compensation(compare_here):
    done = compare_here("--structure", "width,depth", "--params", "0.3,0.6", "--json")
    assert done.returncode == 0, done.stderr
    dense, *rows = json.loads(done.stdout)
    assert all(set(row) == ROW for row in (dense, *rows))
    assert (dense["algorithm"], dense["params_removed"], dense["blocks"], dense["ffn_width"]) == ("dense", 0.0, 3, 56)
    width = [(row["algorithm"], row["compensate"]) for row in rows if row["structure"] == "width"]
    methods = ["flap", "magnitude", "taylor", "wanda-sp"]
    assert width == 2 * [(method, way) for method in methods for way in ("none", "least-squares")]
    depth = [row for row in rows if row["structure"] == "depth"]
    assert [row["algorithm"] for row in depth] == 2 * ["greedy-block", "magnitude", "shortgpt", "taylor"]
    assert [row["blocks"] for row in depth] == [2] * 4 + [1] * 4
    assert all(row["bytes"] == 4 * row["parameters"] for row in rows)


def test_the_table_shows_each_method_with_its_size(compare_here):
    words = ["--structure", "mix", "--params", "0.3", "--algorithms", "flap", "--compensate", "none,bias"]
    done = compare_here(*words, "--seeds", "2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    lines = lines[[line.startswith("algorithm") for line in lines].index(True) :]
    columns = ["algorithm", "compensate", "removed", "M params", "MB", "perplexity", "+-", "seconds"]
    assert lines[0].split() == " ".join(columns).split()
    assert [line.split()[:2] for line in lines[1:]] == [["dense", "none"], ["flap", "none"], ["flap", "bias"]]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--structure", "width", "--sparsity", "0.5"], "--structure takes no --sparsity"),
        (["--structure", "width", "--packed", "p"], "--structure takes no --packed"),
        (["--structure", "width", "--completions", "1"], "--structure takes no --completions"),
        (["--params", "0.2"], "--params needs --structure"),
        (["--compensate", "bias"], "--compensate needs --structure"),
        (["--structure", "height"], "'height' is not one of width, heads, depth, mix"),
        (["--structure", "width", "--params", "few"], "--params 'few' is not a number between 0 and 1"),
        (["--structure", "width", "--params", "0.9"], "can remove at most"),
        (["--structure", "width", "--algorithm", "shortgpt"], "these do: flap, magnitude, taylor, wanda-sp"),
        (["--structure", "width", "--compensate", "all"], "'all' is not one of none, bias, least-squares"),
        (["--structure", "depth", "--compensate", "bias"], "removed blocks cannot be compensated"),
    ],
)
def test_input_that_cannot_be_used_is_one_line_and_exit_2_and_nothing_is_written(
    prune_here, tmp_path, words, complaint
):
    done = prune_here("--out", "small", *words)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert complaint in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize(
    ("family", "words", "complaint"),
    [
        ("bloom", ["--structure", "width"], "structures of BloomForCausalLM cannot be removed"),
        ("gpt2", ["--structure", "heads"], "heads of this model cannot be removed; use --structure width or depth"),
        ("mistral", ["--structure", "width", "--compensate", "bias"], "no place for a bias of mlp.down_proj"),
    ],
)
def test_a_model_whose_structures_cannot_be_removed_so_is_refused_in_one_line(
    here, tiny_model, tmp_path, family, words, complaint
):
    random_model(family).save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "model")
    done = here("prune", "--model", "model", *SMALL, *words, "--out", "small")
    assert done.returncode == 2, done.stderr
    assert complaint in done.stderr.splitlines()[-1]
    assert not (tmp_path / "small").exists()


def test_a_candidates_file_is_compared_and_prunes_like_a_published_method(compare_here, prune_here, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    words = ["--structure", "width", "--params", "0.3", "--compensate", "none"]
    done = compare_here(*words, "--algorithms", "flap,mine.py", "--json")
    assert done.returncode == 0, done.stderr
    _, flap, mine = json.loads(done.stdout)
    assert (mine["algorithm"], mine["repeatable"], mine["compensate"]) == ("mine", True, "none")
    assert mine["perplexity"] == flap["perplexity"]
    done = prune_here(*words, "--algorithm", "mine.py", "--out", "small", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["shape"]["ffn_width"] == 29
    assert json.loads((tmp_path / "small" / "autoprune.json").read_text())["algorithm"] == "mine"


@pytest.mark.parametrize(
    ("source", "words", "complaint"),
    [
        ("def score(layer):\n    return layer.weight\n", [], "mine.py scores single weights: it defines no STRUCTURE"),
        (MINE, ["--compensate", "all"], "'all' is not one of"),
        (MINE.replace("channel", "block"), [], "mine does not rank what --structure width removes"),
        (MINE.replace("square()", "nothing()"), [], "the algorithm mine.py failed: "),
        (MINE.replace('"channel"', "'chan' + 'nel'"), [], "mine does not rank what --structure width removes"),
    ],
)
def test_a_file_that_does_not_fit_ends_in_one_line(prune_here, tmp_path, source, words, complaint):
    (tmp_path / "mine.py").write_text(source)
    done = prune_here("--structure", "width", "--algorithm", "mine.py", *words, "--out", "small")
    assert done.returncode != 0
    assert complaint in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "small").exists()


def test_a_structured_file_without_structure_is_refused_in_one_line(compare_here, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    done = compare_here("--algorithms", "mine.py", "--allocations", "uniform")
    assert done.returncode == 2
    assert "mine ranks structures, not single weights; it needs --structure" in done.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--params", "0.2"], "params is a share of structures' parameters; it needs a structure"),
        (["--structure", "width", "--params", "0.2", "--sparsity", "0.3"], "sparsity and params are one setting"),
        (["--compensate", "bias"], "search.compensate needs search.structure (--structure)"),
        (["--structure", "height"], "--structure"),
        (["--structure", "width", "--params", "1.5"], "--params"),
    ],
)
def test_a_search_with_options_that_do_not_fit_ends_in_one_line_and_leaves_no_run(here, tmp_path, words, complaint):
    done = here("search", *words, "--llm", "symbolic", "--run-dir", "run")
    assert done.returncode == 2
    assert complaint in done.stderr.replace("\n", " ")
    assert not (tmp_path / "run").exists()


def test_a_search_of_structures_gives_a_candidate_that_prunes(here, tiny_model, tmp_path):
    small = ["data.seqlen=48", "data.calibration_samples=4", "data.search_windows=3", "data.report_windows=3"]
    words = ["--structure", "width", "--params", "0.3", "--compensate", "least-squares", "--llm", "symbolic"]
    limits = ["--max-candidates", "2", "--sandbox", "local", "dtype=float32", "device=cpu", "confirmation.finalists=1"]
    done = here("search", "--model", str(tiny_model), *words, *limits, *small, "--run-dir", "run", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert {row.get("league") for row in rows if row["kind"] == "candidate"} == {"compensated"}
    prune = ["--structure", "width", "--params", "0.3", "--compensate", "least-squares", "--algorithm", "run:best"]
    done = here("prune", "--model", str(tiny_model), *SMALL, *prune, "--out", "small", "--json")
    assert done.returncode == 0, done.stderr
    (best,) = (row for row in rows if row["kind"] == "candidate")
    assert json.loads(done.stdout)["params_removed"] == pytest.approx(best["sparsity"])
    done = here("export-algorithm", "run:best", "--out", "best.py")
    assert done.returncode == 0, done.stderr
    assert 'STRUCTURE = "channel"' in (tmp_path / "best.py").read_text()
    assert "--compensate least-squares --out smaller" in (tmp_path / "best.md").read_text()
    done = here("trace", "run", "--json")
    assert done.returncode == 0, done.stderr
