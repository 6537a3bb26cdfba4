import pytest
from transformers import modeling_gguf_pytorch_utils as gguf
from transformers.utils import logging

from autoprune.models.silence import silence_transformers


@pytest.mark.parametrize("bar", [lambda: logging.tqdm, lambda: gguf.tqdm], ids=["loading", "converting"])
def test_bars_are_silent_their_steps_are_heard_and_everything_is_as_before(bar, capfd):
    heard: list[int] = []
    before = (gguf.tqdm, logging.get_verbosity(), logging.is_progress_bar_enabled())
    with silence_transformers(heard.append):
        assert list(bar()(range(3), desc="Converting")) == [0, 1, 2]
        logging.get_logger("transformers").warning("noise")
    assert heard == [1, 1, 1]
    assert capfd.readouterr().err == ""
    assert (gguf.tqdm, logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_settings_come_back_after_an_error():
    before = (gguf.tqdm, logging.get_verbosity(), logging.is_progress_bar_enabled())
    with pytest.raises(ValueError, match="broken"), silence_transformers():
        raise ValueError("broken")
    assert (gguf.tqdm, logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
