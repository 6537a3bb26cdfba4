"""The notebooks of examples/: committed without outputs, and every cell runs, on the tiny model."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


@every_notebook
def test_a_notebook_is_valid_and_has_no_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert (
        path.read_text(encoding="utf-8")
        == json.dumps(json.loads(path.read_text()), indent=1, ensure_ascii=False) + "\n"
    )


@pytest.mark.long
@every_notebook
def test_every_cell_of_a_notebook_runs(path, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOPRUNE_EXAMPLE_MODEL", str(tiny_model))
    monkeypatch.setenv("AUTOPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=1000, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()  # raises CellExecutionError
    shown = json.dumps(notebook)
    assert "PruningReport" in shown
    assert "run-ended" in shown or "ended: 3 candidates tried" in shown
