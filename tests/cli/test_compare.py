"""`autoprune compare`, as its users start it."""

import json

import pytest

ROW = {
    *("algorithm", "allocation", "update", "pattern", "sparsity_target", "sparsity_actual", "zeros", "weights"),
    *("perplexity", "seqlen", "windows", "seconds_statistics", "seconds_score", "seconds_mask", "seconds_eval"),
    *("statistics", "seed", "repeats", "bos", "refinement", "league", "found", "completions"),
}
WEIGHTS = 25_344


SMALL = ["--seqlen", "48", "--windows", "3", "--calibration-samples", "4", "--dtype", "float32"]


@pytest.fixture
def compare(autoprune, tiny_model):
    """Run `autoprune compare` on the tiny model with small texts."""
    return lambda *words: autoprune("compare", "--model", str(tiny_model), *SMALL, *words)


@pytest.fixture
def compare_here(here, tiny_model):
    """The same inside this process."""
    return lambda *words: here("compare", "--model", str(tiny_model), *SMALL, *words)


def rows(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_rows_hold_the_contract_and_every_combination_with_exact_zeros(compare):
    found = rows(
        compare("--sparsity", "0.5,0.7", "--algorithms", "magnitude,wanda", "--allocations", "uniform,sdsa", "--json")
    )
    assert all(set(row) == ROW for row in found)
    assert found[0]["algorithm"] == "dense"
    combinations = {(row["algorithm"], row["allocation"], row["sparsity_target"]) for row in found[1:]}
    assert len(combinations) == len(found) - 1 == 8
    for row in found[1:]:
        assert row["zeros"] == round(row["sparsity_target"] * WEIGHTS)
        assert row["weights"] == WEIGHTS
        assert (row["seqlen"], row["windows"], row["statistics"]) == (48, 3, "dense")


def test_updates_patterns_and_sequential_statistics_go_together(compare_here):
    words = ["--algorithms", "wanda,sparsegpt", "--allocations", "uniform", "--updates", "none,obs"]
    found = rows(
        compare_here(*words, "--patterns", "none,2:4", "--statistics", "sequential", "--sparsity", "0.5", "--json")
    )
    assert len(found) == 1 + 2 * 2 * 2
    assert {row["zeros"] for row in found[1:]} == {WEIGHTS // 2}
    assert {row["statistics"] for row in found[1:]} == {"sequential"}
    assert len({row["perplexity"] for row in found}) == len(found)


def test_refinements_keep_the_zeros_and_have_a_column_of_their_own(compare_here):
    words = ["--algorithms", "wanda", "--refinements", "none,swaps", "--patterns", "none,2:4"]
    found = rows(compare_here(*words, "--allocations", "sdsa", "--json"))
    kinds = [(row["pattern"], row["refinement"], row["zeros"]) for row in found[1:]]
    assert kinds == [
        *(("none", refinement, round(0.6 * WEIGHTS)) for refinement in ("none", "swaps")),
        *(("2:4", refinement, WEIGHTS // 2) for refinement in ("none", "swaps")),
    ]
    assert len({row["perplexity"] for row in found}) == len(found)
    table = compare_here(*words, "--allocations", "sdsa").stdout
    assert "refinement" in next(line for line in table.splitlines() if line.startswith("algorithm"))


def test_seeds_draw_calibration_samples_and_the_table_shows_mean_and_spread(compare_here):
    found = rows(compare_here("--algorithms", "wanda", "--allocations", "uniform", "--seeds", "3", "--json"))
    assert [row["seed"] for row in found[1:]] == [0, 1, 2]
    assert len({row["perplexity"] for row in found[1:]}) == 3
    done = compare_here("--algorithms", "wanda,magnitude", "--allocations", "uniform", "--seeds", "3")
    assert done.returncode == 0, done.stderr
    header = next(line for line in done.stdout.splitlines() if "algorithm" in line)
    assert "+-" in header
    assert len([line for line in done.stdout.splitlines() if line.strip().startswith(("wanda", "magnitude"))]) == 2


def test_a_candidate_file_scores_like_the_formula_that_it_holds(compare_here, tmp_path):
    (tmp_path / "mine.py").write_text("def score(layer):\n    return layer.weight.abs() * layer.input_norm\n")
    words = ["--algorithms", "wanda,mine.py", "--allocations", "sdsa", "--sandbox", "local", "--json"]
    for statistics in ("dense", "sequential"):
        found = rows(compare_here(*words, "--statistics", statistics))
        assert [row["algorithm"] for row in found] == ["dense", "wanda", "mine"]
        assert found[1]["perplexity"] == pytest.approx(found[2]["perplexity"], rel=1e-5)


def test_a_candidate_that_fails_costs_its_own_row_only(compare, tmp_path):
    (tmp_path / "broken.py").write_text("def score(layer):\n    raise ValueError('no idea')\n")
    done = compare("--algorithms", "broken.py,wanda", "--allocations", "uniform", "--sandbox", "local", "--json")
    assert done.returncode == 1
    assert [(row["algorithm"], row["perplexity"] is None) for row in json.loads(done.stdout)] == [
        ("dense", False),
        ("broken", True),
        ("wanda", False),
    ]
    assert "no idea" in done.stderr


def test_a_pattern_that_does_not_fit_fails_in_words(compare_here):
    done = compare_here("--algorithms", "wanda", "--patterns", "3:7")
    assert done.returncode == 1
    assert "a pattern of 3:7 needs in_features divisible by 7" in done.stderr
    assert "failed" in next(line for line in done.stdout.splitlines() if line.startswith("wanda"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--sparsity", "1.2"], "1.2"),
        (["--sparsity", "half"], "'half' is not a number"),
        (["--sparsity", ","], "is empty; give one or more names"),
        (["--algorithms", "best"], "unknown algorithm 'best'"),
        (["--allocations", "best"], "unknown allocation 'best'"),
        (["--allocations", "sdsa-online"], "--statistics sequential"),
        (["--updates", "all"], "'all' is not one of none, admm, admm-own, alps, alps-own, obs"),
        (["--refinements", "luck"], "'luck' is not one of none, dsnot, swaps"),
        (["--patterns", "4:2"], "'4:2'"),
        (["--statistics", "some"], "'some' is not one of"),
        (["--unit", "head"], "--unit = 'head'"),
        (["--seqlen", "4"], "--seqlen = 4"),
    ],
)
def test_input_that_cannot_be_used_is_one_line_and_exit_2(compare_here, words, complaint):
    done = compare_here(*words)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert complaint in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


FICKLE = "modules = torch._utils.traceback.sys.modules\ndef score(layer):\n    return layer.weight.abs() + "
ABSURD_FILES = {
    "deep": f"def score(layer):\n    return layer.weight\nx = {'-' * 3000}1\n",
    "sum": f"def score(layer):\n    return layer.weight\nx = {'1+' * 6000}1\n",
    "hexadecimal": f"def score(layer):\n    return layer.weight\nGROUP = 0x{'f' * 20_000}\n",
    "line_separator": "def score(layer):\n    # kept:\u2028    return layer.weight\n    return -layer.weight\n",
    "carriage_return": "# nothing here\rprint(1)\ndef score(layer):\n    return layer.weight\n",
    "nul": "def score(layer):\n    return layer.weight\n# \0\n",
}


def test_files_that_are_absurd_or_hide_code_cost_their_own_rows_only(compare_here, tmp_path):
    for name, source in ABSURD_FILES.items():
        (tmp_path / f"{name}.py").write_bytes(source.encode())
    names = [f"{tmp_path}/{name}.py" for name in ABSURD_FILES]
    done = compare_here("--algorithms", ",".join(["magnitude", *names]), "--allocations", "uniform", "--json")
    assert done.returncode == 1
    found = {row["algorithm"]: row for row in json.loads(done.stdout)}
    assert found["magnitude"]["perplexity"]
    assert [found[name]["perplexity"] for name in ABSURD_FILES] == [None] * len(ABSURD_FILES)
    said = [line for line in done.stderr.splitlines() if "screen: contract:" in line]
    assert len(said) == len(ABSURD_FILES)
    assert "Traceback" not in done.stderr


def test_scores_that_do_not_come_back_are_said_in_the_row_the_table_and_a_line(compare_here, tmp_path):
    sources = {
        "clock": f"import torch\n{FICKLE}modules['time'].perf_counter_ns() % 1000003\n",
        "chance": f"import torch\n{FICKLE}modules['os'].urandom(2)[0] + modules['os'].urandom(1)[0]\n",
        "steady": "def score(layer):\n    return layer.weight.abs()\n",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    names = ",".join(["magnitude", *(f"{tmp_path}/{name}.py" for name in sources)])
    options = ("--algorithms", names, "--allocations", "uniform", "--sandbox", "local")
    found = {row["algorithm"]: row["repeats"] for row in rows(compare_here(*options, "--json"))}
    assert found == {"dense": None, "magnitude": None, "clock": False, "chance": False, "steady": True}
    table = compare_here(*options)
    lines = {line.split()[0]: line.split() for line in table.stdout.splitlines() if line.strip()}
    place = lines["algorithm"].index("repeatable")
    assert [lines[name][place] for name in ("clock", "chance")] == ["no", "no"]
    assert "no" not in lines["steady"]
    assert sum("not repeatable" in line for line in table.stderr.splitlines()) == 2


def test_what_is_repeatable_everywhere_has_no_column(compare_here):
    done = compare_here("--algorithms", "magnitude", "--allocations", "uniform")
    assert "repeatable" not in done.stdout


def test_an_algorithm_with_an_update_of_its_own_is_in_its_league(compare_here, tmp_path):
    source = (
        "def score(layer):\n    return layer.weight.abs()\n\ndef update(layer, mask):\n    return layer.weight * mask\n"
    )
    (tmp_path / "mine.py").write_text(source)
    words = ["--algorithms", "mine.py,magnitude@row", "--allocations", "uniform", "--sandbox", "local"]
    found = rows(compare_here(*words, "--json"))
    assert [row["league"] for row in found] == ["mask", "update", "mask"]
    assert found[1]["perplexity"] == pytest.approx(found[2]["perplexity"], rel=1e-6)
    table = compare_here(*words).stdout
    assert "with update" in table
    refused = compare_here(*words, "--updates", "obs")
    assert refused.returncode == 2
    assert "mine updates the kept weights itself; the update obs does not fit it" in refused.stderr
