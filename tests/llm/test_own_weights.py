import shutil
from pathlib import Path
from typing import Any

import pytest

from autoprune.config_agents import LLMSettings
from autoprune.errors import UsageError
from autoprune.llm import provider
from autoprune.llm.own_weights import NOT_COMPARED, SAME, SAME_SIZES, own_weights
from autoprune.llm.provider import INSTALL_LOCAL, choose_llm
from autoprune.models.gguf_files import CHAT, sha256_of
from tests.gguf_models import empty_gguf, write_gguf


@pytest.fixture(scope="module")
def chat_gguf(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tiny_model, tmp_path_factory.mktemp("gguf") / "chat.gguf")


@pytest.fixture(scope="module")
def base_gguf(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tiny_model, tmp_path_factory.mktemp("gguf") / "base.gguf", chat_template=None)


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_model, tmp_path / "model")


def refusal(target: object, model: object = None) -> str:
    with pytest.raises(UsageError) as caught:
        own_weights(str(target), None if model is None else str(model))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_built_in_target_serves_the_file_it_was_made_from() -> None:
    own = own_weights("qwen2.5-coder-1.5b", None)
    assert (own.source, own.ground) == (CHAT, SAME)


def test_a_gguf_file_serves_itself_and_is_recorded_by_checksum(chat_gguf: Path) -> None:
    own = own_weights(str(chat_gguf), None)
    assert own.find() == chat_gguf
    assert own.record() == {"gguf": "chat.gguf", "sha256": sha256_of(chat_gguf), "ground": SAME}


def test_a_directory_serves_the_one_gguf_file_in_it(folder: Path, chat_gguf: Path) -> None:
    beside = Path(shutil.copy(chat_gguf, folder))
    own = own_weights(str(folder), None)
    assert (own.find(), own.ground) == (beside, SAME_SIZES)


def test_a_directory_and_a_hub_id_are_served_by_a_named_file(folder: Path, chat_gguf: Path) -> None:
    assert own_weights(str(folder), str(chat_gguf)).ground == SAME_SIZES
    assert own_weights("org/name", str(chat_gguf)).ground == NOT_COMPARED


def test_a_directory_without_one_gguf_file_is_told_what_is_possible(folder: Path, chat_gguf: Path) -> None:
    for holds in ("no GGUF files", "2 GGUF files"):
        message = refusal(folder)
        assert holds in message
        for way in ("into the model's directory", "llm.model=FILE.gguf", "--llm openai llm.base_url=URL"):
            assert way in message
        for name in ("a.gguf", "b.gguf"):
            shutil.copy(chat_gguf, folder / name)
    assert "org/name is a hub id" in refusal("org/name")


def test_a_model_that_cannot_chat_is_refused(folder: Path, base_gguf: Path) -> None:
    for target, model in [(base_gguf, None), (folder, base_gguf)]:
        assert "no chat template: only an instruct model" in refusal(target, model)


def test_a_file_of_other_sizes_is_no_model_of_these_weights(folder: Path, chat_gguf: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 3', '"num_hidden_layers": 4'))
    assert "holds other weights" in refusal(folder, chat_gguf)
    assert "num_hidden_layers 3 there, 4 here" in refusal(folder, chat_gguf)


def test_a_damaged_file_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + bytes(64))
    assert "is a damaged GGUF file" in refusal(file)
    empty_gguf(file)
    assert "cannot be read as a GGUF file" in refusal(file)
    file.write_bytes(b"PK")
    assert "is no GGUF file" in refusal(file)


def test_a_target_that_serves_itself_leaves_no_place_for_another_file(chat_gguf: Path) -> None:
    assert "llm.model has no place" in refusal("smollm2-135m", chat_gguf)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"base_url": "http://x/v1"}, "llm.base_url"),
        ({"roles": {"critic": {"model": "m"}}}, "llm.roles.critic.model"),
        ({"roles": {"analyst": {"base_url": "http://x/v1"}}}, "llm.roles.analyst.base_url"),
    ],
)
def test_no_agent_may_be_another_model(settings: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "find_spec", lambda name: object())
    with pytest.raises(UsageError, match=f"excludes {named}"):
        choose_llm(LLMSettings(provider="self", **settings), "smollm2-135m")


def test_the_screen_says_which_file_is_served_and_why(monkeypatch: pytest.MonkeyPatch, logged: list[str]) -> None:
    monkeypatch.setattr(provider, "find_spec", lambda name: object())
    settings = LLMSettings.model_validate({"provider": "self", "roles": {"critic": {"temperature": 0.1}}})
    choice = choose_llm(settings, "smollm2-135m")
    assert choice.provider == "self"
    assert logged == [
        "LLM: self (asked for: the agents are the target; SmolLM2-135M-Instruct.Q4_1.gguf is served, "
        "the target is this file, dequantised); prompts: small (a model on this machine; llm.profile)"
    ]


def test_without_the_engine_the_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"llm\.provider = self needs") as caught:
        choose_llm(LLMSettings(provider="self"), "smollm2-135m")
    assert INSTALL_LOCAL in str(caught.value)
