from pathlib import Path

import pytest

from autoprune.errors import UsageError
from autoprune.llm.own_weights import find_model
from autoprune.models.gguf_files import CHAT
from tests.gguf_models import empty_gguf


def test_own_file_is_taken_as_it_is(tmp_path: Path) -> None:
    file = empty_gguf(tmp_path / "own.gguf")
    assert find_model(str(file)) == file


def test_the_default_comes_from_the_cache(cache: Path) -> None:
    cached = cache / CHAT.folder / CHAT.name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"GGUF")
    assert find_model(None) == cached


@pytest.mark.parametrize(("content", "problem"), [(b"PK", "no GGUF"), (b"", "no GGUF"), (None, "cannot be read")])
def test_other_files_are_refused(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "own.gguf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=problem):
        find_model(str(file))
