"""Removing structures: a reduced model computes what zeros in their place compute, and loads anywhere."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from autoprune.errors import UsageError
from autoprune.models.reduce import Reduction, kept_columns, reduced
from autoprune.models.reduce_families import FAMILIES
from autoprune.models.structures import Anatomy
from autoprune.pruning.compensation import removed
from autoprune.pruning.shapes import Shape
from autoprune.pruning.structures.spec import CHANNEL
from tests.architectures.families import VOCABULARY
from tests.models.reductions import by_zeros, random_model, random_reduction

TOKENS = torch.randint(VOCABULARY, (2, 24), generator=torch.Generator().manual_seed(0))
VARIANTS = {
    "llama with biases, tied": ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    "llama with a group per head": ("llama", {"num_key_value_heads": 4}),
    "qwen3 with biases, tied": ("qwen3", {"attention_bias": True, "tie_word_embeddings": True}),
    "qwen2 with windows": ("qwen2", {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 2}),
    "gpt2 with a given width": ("gpt2", {"n_inner": 48}),
    **{family: (family, {}) for family in FAMILIES},
}


def logits(model):
    with torch.inference_mode():
        return model(TOKENS, use_cache=False).logits


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_reduced_model_saved_and_loaded_again_computes_what_zeros_compute(variant, tmp_path):
    family, settings = VARIANTS[variant]
    anatomy = Anatomy(random_model(family, **settings), family)
    reduction = random_reduction(anatomy)
    reduced(anatomy, reduction).save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    expected = logits(by_zeros(anatomy, reduction))
    assert not torch.allclose(expected, logits(anatomy.model), atol=1e-2)
    torch.testing.assert_close(logits(loaded), expected, rtol=1e-5, atol=1e-5)
    groups = len(reduction.groups[0]) if reduction.groups else anatomy.groups
    shape = Shape(2, 17, groups)
    on_disk = sum(parameter.numel() for parameter in loaded.get_submodule(anatomy.path).parameters())
    assert on_disk == anatomy.sizes.parameters(shape)
    assert Anatomy(loaded, family).sizes.dense == shape


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reduced_model_generates_with_its_cache_what_it_computes_without(family):
    anatomy = Anatomy(random_model(family), family)
    model = reduced(anatomy, random_reduction(anatomy, blocks=(1, 2)))
    ways = [model.generate(TOKENS[:1, :8], max_new_tokens=6, do_sample=False, use_cache=use) for use in (True, False)]
    assert torch.equal(*ways)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text"])
def test_new_weights_and_biases_of_the_consumer_are_what_is_computed_with(family, tmp_path):
    anatomy = Anatomy(random_model(family), family)
    keep = random_reduction(anatomy, blocks=(0, 1, 2))
    path = anatomy.consumer(CHANNEL)
    zeroed = by_zeros(anatomy, Reduction((0, 1, 2), keep.channels))
    weights, biases = {}, {}
    for block, kept in keep.channels.items():
        name = anatomy.layer(block, path)
        weights[name] = torch.randn(32, len(kept), generator=torch.Generator().manual_seed(block))
        module = zeroed.get_submodule(name)
        new = torch.zeros(32, anatomy.channels).index_copy(1, kept_columns(anatomy, CHANNEL, kept), weights[name])
        module.weight.data = new.T.contiguous() if family == "gpt2" else new
        if family != "gemma3_text":
            biases[name] = torch.randn(32)
            before = module.bias.data if module.bias is not None else 0.0
            module.bias = torch.nn.Parameter(before + biases[name])
    reduced(anatomy, Reduction((0, 1, 2), keep.channels, None, weights, biases)).save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(logits(loaded), logits(zeroed), rtol=1e-4, atol=1e-4)


def test_the_dense_model_is_left_as_it_was():
    anatomy = Anatomy(random_model("qwen3"), "qwen3")
    before, config = logits(anatomy.model), anatomy.model.config.to_dict()
    reduced(anatomy, random_reduction(anatomy))
    assert torch.equal(logits(anatomy.model), before)
    assert anatomy.model.config.to_dict() == config


@pytest.mark.parametrize(("family", "name"), [("bloom", "BloomForCausalLM"), ("mixtral", "MixtralForCausalLM")])
def test_an_architecture_that_is_not_supported_is_refused_in_one_line(family, name):
    with pytest.raises(UsageError, match=f"mine: structures of {name} cannot be removed; .*llama, mistral") as refused:
        Anatomy(random_model(family), "mine")
    assert "\n" not in str(refused.value)


def test_a_bias_without_a_place_is_refused():
    anatomy = Anatomy(random_model("mistral"), "mistral")
    name = anatomy.layer(0, anatomy.consumer(CHANNEL))
    with pytest.raises(UsageError, match=r"MistralForCausalLM has no place for a bias of mlp.down_proj"):
        reduced(anatomy, Reduction((0, 1, 2), biases={name: torch.zeros(32)}))


def test_blocks_of_different_widths_are_refused():
    anatomy = Anatomy(random_model("llama"), "llama")
    with pytest.raises(UsageError, match="blocks would keep 3 to 4 structures"):
        reduced(anatomy, Reduction((0, 1), {0: torch.arange(3), 1: torch.arange(4)}))


def test_numbers_of_heads_that_a_configuration_refuses_are_not_offered():
    llama = Anatomy(random_model("llama", num_attention_heads=4, num_key_value_heads=4), "llama")
    qwen = Anatomy(random_model("qwen3", num_attention_heads=4, num_key_value_heads=4), "qwen3")
    assert llama.sizes.allowed == {1, 2}  # 3 heads do not divide a hidden size of 32
    assert qwen.sizes.allowed == {1, 2, 3}
    assert removed(torch.tensor([0, 2]), 4).tolist() == [1, 3]
