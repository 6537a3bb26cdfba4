"""The recipe of the literature's table: its plan without weights or network, and one cell of it on a random model."""

import json
import socket

import pytest

from benchmarks.literature import RECIPE, main
from benchmarks.literature_recipe import read_recipe
from tests.conftest import DATA

SMALL = (
    "data=builtin",
    "calibration=builtin",
    f"calibration_samples={DATA['calibration_samples']}",
    f"windows=[{DATA['seqlen']}]",
    f"report_windows={DATA['report_windows']}",
    "dtype=float32",
    "device=cpu",
    "tasks=[]",
)


@pytest.fixture
def without_network(monkeypatch):
    def refused(*_):
        raise AssertionError("the plan needs no network")

    monkeypatch.setattr(socket.socket, "connect", refused)


def test_the_plan_names_every_cell_with_memory_and_command(capsys, without_network):
    assert main(["--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [line.split(" | ") for line in lines if line.startswith("| LLaMA")]
    names = [cell[0].removeprefix("| ") for cell in cells]
    assert len(names) == len(set(names)) == len(list(read_recipe(RECIPE).cells()))
    assert all(
        f"--only {name}" in cell[3] or f"--only '{name}'" in cell[3] for name, cell in zip(names, cells, strict=True)
    )
    memory = {name: int(cell[2]) for name, cell in zip(names, cells, strict=True)}
    assert 27 < memory["LLaMA-2-7B/2048/0.5/Wanda/uniform"] < 80  # the weights in bfloat16, and a pristine copy
    assert f"{len(names)} cells" in lines[-1]


def test_every_published_figure_stands_beside_a_cell():
    recipe = read_recipe(RECIPE)
    shown = sum(len(recipe.published_of(cell)) for cell in recipe.cells())
    assert shown == sum(len(published.figures) for published in recipe.published)


def test_one_cell_is_measured_and_resumed(tiny_model, cache, tmp_path, capsys):
    model = {"name": "LLaMA-2-7B", "id": str(tiny_model), "config": {}}
    rows = tmp_path / "rows.jsonl"
    words = ["--rows", str(rows), "--only", "0.5/Wanda + swaps/sdsa", f"models={json.dumps([model])}", *SMALL]
    assert main(words) == 0
    (row,) = map(json.loads, rows.read_text().splitlines())
    assert row["cell"] == f"LLaMA-2-7B/{DATA['seqlen']}/0.5/Wanda + swaps/sdsa"
    assert row["sparsity"] == pytest.approx(0.5, abs=1e-3)
    assert row["windows"] == DATA["report_windows"]
    assert f"{row['perplexity']:.2f}" in capsys.readouterr().out
    assert main(words) == 0  # nothing is left to measure
    assert len(rows.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["windows=2048"], "windows: Input should be a valid list"),
        (["sparsities=[1.5]"], "sparsity 1.5 is not between 0 and 1"),
        (["patterns=[two]"], "pattern 'two' is not of the form N:M"),
        (["colour=blue"], "colour: Extra inputs are not permitted"),
        (["algorithms=[{name: x, score: x, allocations: [uniform]}]"], "unknown algorithm 'x'"),
        (["algorithms=[{name: Wanda, score: wanda, allocations: [own]}]"], "has no allocation of its own"),
        (["--only", "nothing"], "has 'nothing' in its name"),
    ],
)
def test_a_mistake_is_one_line(words, told, capsys):
    assert main(["--dry-run", *words]) == 2
    said = capsys.readouterr().out
    assert told in said
    assert said.count("\n") == 1
