"""Every command refuses a GGUF file with an absurd header in one line, at once."""

import pytest

from tests.models.test_gguf_header import ABSURD


@pytest.mark.parametrize("what", ["more tensors than bytes", "an array that is longer than the file"])
@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "a.gguf"),
        ("prune", "--model", "a.gguf", "--out", "out"),
        ("search", "model=a.gguf"),
        ("search", "model={model}", "--llm", "local", "llm.model=a.gguf", "device=cpu", "sandbox.engine=local"),
    ],
    ids=" ".join,
)
def test_a_command_refuses_it(here, tiny_model, tmp_path, command, what):
    (tmp_path / "a.gguf").write_bytes(ABSURD[what])
    done = here(*(word.format(model=tiny_model) for word in command))
    assert done.returncode == 2
    assert "is a damaged GGUF file" in done.stderr
    assert not (tmp_path / "runs").exists()
