"""The decoder blocks of a model are those of its text decoder, whatever else it is made of."""

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3nTextConfig,
    GitConfig,
    GitForCausalLM,
)

from autoprune.evaluation.perplexity import window_losses
from autoprune.evaluation.probe import stack
from autoprune.models.blocks import decoder_blocks, prunable_layers
from autoprune.models.footprint import Footprint
from autoprune.models.loading import empty_model
from autoprune.models.target import Target
from tests.models.checkpoints import SIZE, load, saved

VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}


def gemma3(text: int, vision: int) -> Gemma3ForConditionalGeneration:
    torch.manual_seed(0)
    return Gemma3ForConditionalGeneration(
        Gemma3Config(
            text_config={**SIZE, "num_hidden_layers": text, "head_dim": 8, "sliding_window": 16},
            vision_config={**VISION, "num_hidden_layers": vision},
            mm_tokens_per_image=4,
            boi_token_index=380,
            eoi_token_index=381,
            image_token_index=382,
        )
    )


def git(text: int, vision: int) -> GitForCausalLM:
    """Its vision tower is a part of what transformers calls its decoder."""
    torch.manual_seed(0)
    size = {**SIZE, "num_hidden_layers": text, "num_key_value_heads": None}
    return GitForCausalLM(GitConfig(**size, vision_config={**VISION, "num_hidden_layers": vision}))


@pytest.mark.parametrize(("text", "vision"), [(3, 2), (2, 4), (3, 3), (1, 5)])
@pytest.mark.parametrize(("family", "path"), [(gemma3, "model.language_model.layers"), (git, "git.encoder.layer")])
def test_a_vision_tower_is_no_decoder_however_deep_it_is(family, path, text, vision):
    model = family(text, vision)
    name, blocks = decoder_blocks(model)
    assert (name, len(blocks)) == (path, text)
    assert all(layer.info.name.startswith(path) for layer in prunable_layers(model))


def test_an_audio_tower_is_no_decoder():
    from transformers import MossTranscribeDiarizeConfig, MossTranscribeDiarizeForConditionalGeneration

    config = MossTranscribeDiarizeConfig()
    config.audio_config.update({"encoder_layers": 5, "num_hidden_layers": 5})
    config.text_config.num_hidden_layers = 2
    config.text_config.layer_types = ["full_attention"] * 2
    with torch.device("meta"):
        model = MossTranscribeDiarizeForConditionalGeneration(config)
    name, blocks = decoder_blocks(model)
    assert (name, len(blocks)) == ("model.language_model.layers", 2)


def test_lists_of_bare_matrices_are_no_blocks():
    config = Gemma3nTextConfig(num_hidden_layers=3, layer_types=["full_attention"] * 3, num_kv_shared_layers=0)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert isinstance(model.model.altup_projections, nn.ModuleList)
    assert decoder_blocks(model)[0] == "model.layers"


def test_the_decoder_of_an_encoder_decoder_is_one():
    sizes = {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 48}
    torch.manual_seed(0)
    model = BartForCausalLM(BartConfig(vocab_size=384, encoder_layers=6, max_position_embeddings=64, **sizes))
    assert decoder_blocks(model)[0] == "model.decoder.layers"
    assert len(decoder_blocks(model)[1]) == 2


@pytest.mark.parametrize("family", [gemma3, git])
def test_probes_of_one_and_two_blocks_are_of_the_text_decoder(tmp_path, family):
    folder = saved(family(3, 4), tmp_path / "m")
    size = Footprint(empty_model(str(folder)))
    assert len(size.blocks) == 3
    for blocks in (1, 2):
        model = stack(str(folder), blocks, torch.float32, torch.device("cpu"))
        target = Target(model, None, "probe")
        assert len(decoder_blocks(model)[1]) == blocks
        assert {layer.block for layer in target.layers} == set(range(blocks))
        assert window_losses(target, torch.arange(24).view(1, 24))


@pytest.mark.parametrize("offload", ["none", "disk"])
def test_a_text_decoder_below_a_deeper_tower_is_a_target(tmp_path, offload):
    folder = saved(gemma3(2, 4), tmp_path / "m")
    target = load(folder, offload)
    assert {layer.block for layer in target.layers} == {0, 1}
    tokens = torch.arange(40).view(2, 20)
    with torch.inference_mode():
        reference = AutoModelForCausalLM.from_pretrained(folder)(tokens[:1], labels=tokens[:1]).loss
    assert window_losses(target, tokens)[0] == pytest.approx(float(reference), rel=1e-5)
