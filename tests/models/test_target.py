import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autoprune.errors import AutoPruneError, UsageError
from autoprune.models.identity import checksum
from autoprune.models.target import Target, load_target
from tests.conftest import save_tokenizer
from tests.models.masked import masked

MASK_SHARE = 0.5


def masks_of(target: Target) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {layer.name: torch.rand(layer.shape, generator=generator) > MASK_SHARE for layer in target.layers}


def refusal(model: str, **options: str) -> str:
    with pytest.raises(UsageError) as caught:
        load_target(model, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_prunable_layers_are_the_linear_matrices_of_the_decoder_blocks(tiny_target):
    assert tiny_target.weights == 3 * (32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 56)
    first = [layer for layer in tiny_target.layers if layer.block == 0]
    assert [layer.role for layer in first] == ["q", "k", "v", "o", "gate", "up", "down"]
    assert first[0].name == "model.layers.0.self_attn.q_proj"
    assert first[-1].shape == (32, 56)
    assert [layer.depth for layer in tiny_target.layers[::7]] == [0.0, 0.5, 1.0]
    assert {layer.unit for layer in first} == {"block.0"}


def test_an_edit_applies_the_masks_and_restores_every_bit(tiny_target):
    before, masks = tiny_target.fingerprint, masks_of(tiny_target)
    with masked(tiny_target, masks):
        for name, mask in masks.items():
            assert torch.equal(tiny_target.live_weight(name) != 0, mask)
            assert not torch.equal(tiny_target.weight(name), tiny_target.live_weight(name))
        assert checksum(tiny_target.model) != before
    assert checksum(tiny_target.model) == before


def test_weights_come_back_after_an_error_in_the_middle(tiny_target):
    masks = masks_of(tiny_target)
    masks[tiny_target.layers[3].name] = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(RuntimeError), masked(tiny_target, masks):
        pass
    assert checksum(tiny_target.model) == tiny_target.fingerprint


def test_edited_weights_are_what_the_model_computes_with_until_the_end(tiny_target):
    name = tiny_target.layers[0].name
    with tiny_target.edited() as edits:
        edits.weight(name, torch.full((32, 32), 0.5))
        assert bool((tiny_target.live_weight(name) == 0.5).all())
        edits.weight(name, torch.zeros(32, 32))
        assert bool((tiny_target.weight(name) != 0.5).any())
    assert checksum(tiny_target.model) == tiny_target.fingerprint


def test_a_mask_is_of_the_pristine_weight_whatever_was_edited_before(tiny_target):
    name, masks = tiny_target.layers[0].name, list(masks_of(tiny_target).values())
    dense = tiny_target.weight(name).clone()
    with tiny_target.edited() as edits:
        edits.weight(name, torch.full((32, 32), 0.5))
        edits.mask(name, masks[0])
        assert torch.equal(tiny_target.live_weight(name), dense * masks[0])
        edits.mask(name, ~masks[0])
        assert torch.equal(tiny_target.live_weight(name), dense * ~masks[0])
        assert tiny_target.zeros(name) == int(masks[0].sum())
        assert torch.equal(tiny_target.weight(name), dense)


def test_edits_for_good_last_and_hold_no_second_copy(tiny_target):
    first, second = tiny_target.layers[0].name, tiny_target.layers[1].name
    dense, mask = tiny_target.weight(second).clone(), masks_of(tiny_target)[second]
    tiny_target.for_good.weight(first, torch.full((32, 32), 0.5))
    tiny_target.for_good.mask(second, mask)
    assert bool((tiny_target.live_weight(first) == 0.5).all())
    assert torch.equal(tiny_target.live_weight(second), dense * mask)
    for name in (first, second):
        assert tiny_target.weight(name).data_ptr() == tiny_target.live_weight(name).data_ptr()


def test_a_changed_weight_is_found_after_the_run(tiny_target):
    tiny_target.verify()
    with masked(tiny_target, masks_of(tiny_target)), pytest.raises(AutoPruneError, match="changed while"):
        tiny_target.verify()
    tiny_target.verify()


def test_a_target_that_is_only_read_holds_no_second_copy(tiny_target):
    name = tiny_target.layers[0].name
    assert tiny_target.weight(name).data_ptr() == tiny_target.live_weight(name).data_ptr()


def test_the_fingerprint_follows_content_and_dtype(tiny_model, tiny_target):
    assert load_target(str(tiny_model), "cpu", "float32").fingerprint == tiny_target.fingerprint
    assert load_target(str(tiny_model), "cpu", "bfloat16").fingerprint != tiny_target.fingerprint
    with torch.no_grad():
        tiny_target.live_weight(tiny_target.layers[5].name)[0, 0] += 1e-3
    assert checksum(tiny_target.model) != tiny_target.fingerprint


def test_the_dtype_is_probed_and_said(tiny_model, logged):
    target = load_target(str(tiny_model))
    assert target.dtype in (torch.float32, torch.bfloat16)
    assert len(logged) == 1
    assert logged[0].startswith("dtype ")


def test_a_directory_without_a_model_is_named(tmp_path):
    assert refusal(str(tmp_path)).startswith(f"the model in {tmp_path} cannot be loaded: ")


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_is_no_model(tiny_model, file):
    with pytest.raises(UsageError, match=f"{file} is a file, and no model; give its directory"):
        load_target(str(tiny_model / file), "cpu", "float32")


def test_a_directory_with_damaged_weights_is_named(tiny_model, tmp_path):
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"not weights")
    assert str(broken) in refusal(str(broken))


def test_a_directory_with_a_damaged_configuration_is_named(tiny_model, tmp_path):
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    (broken / "config.json").write_text('{"model_type": "llama", "hidden_size": ')
    assert str(broken) in refusal(str(broken))


def test_a_directory_without_a_tokenizer_is_named(tiny_model, tmp_path):
    broken = shutil.copytree(tiny_model, tmp_path / "broken")
    for file in broken.glob("tokenizer*"):
        file.unlink()
    assert str(broken) in refusal(str(broken))


def test_an_encoder_is_refused(tmp_path):
    from transformers import BertConfig, BertForMaskedLM, BertLMHeadModel

    config = BertConfig(
        vocab_size=384,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        initializer_range=0.2,  # else one in many of these models hardly looks ahead
    )
    torch.manual_seed(0)
    BertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    save_tokenizer(tmp_path / "bert")
    assert "only decoder-only models can be pruned" in refusal(str(tmp_path / "bert"))
    BertLMHeadModel(BertConfig(**{**config.to_dict(), "is_decoder": True})).save_pretrained(tmp_path / "decoder")
    save_tokenizer(tmp_path / "decoder")
    assert load_target(str(tmp_path / "decoder"), "cpu", "float32").weights > 0


def test_an_encoder_decoder_is_refused(tmp_path):
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=384, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    T5ForConditionalGeneration(config).save_pretrained(tmp_path / "t5")
    save_tokenizer(tmp_path / "t5")
    refusal(str(tmp_path / "t5"))


@pytest.mark.parametrize("device", ["cuda:7", "no-such-device"])
def test_a_device_that_is_not_there_is_named(tiny_model, device):
    assert device in refusal(str(tiny_model), device=device)


def test_code_that_comes_with_a_model_is_never_run(tiny_model, tmp_path):
    trap = shutil.copytree(tiny_model, tmp_path / "trap")
    config = json.loads((trap / "config.json").read_text())
    config |= {"model_type": "trapped", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
    (trap / "config.json").write_text(json.dumps(config))
    (trap / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass C: pass\nclass M: pass\n")
    refusal(str(trap))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_a_hub_that_does_not_answer_is_one_line_within_seconds(environment, tmp_path):
    script = (
        "import time\n"
        "from autoprune.errors import AutoPruneError, UsageError\n"
        "from autoprune.models.target import load_target\n"
        "begun = time.monotonic()\n"
        "try:\n"
        "    load_target('nobody/no-such-model')\n"
        "except UsageError as error:\n"
        "    print(time.monotonic() - begun, error)\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path), **environment}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ""
    seconds, _, message = done.stdout.strip().partition(" ")
    assert "\n" not in message
    assert message.startswith("there is no model 'nobody/no-such-model'")
    assert "cannot be reached" in message
    assert float(seconds) < 20


@pytest.mark.model
def test_the_built_in_model_loads_without_noise(built_in_model: Path):
    script = "from autoprune.models.target import load_target; print(load_target('smollm2-135m', 'cpu').weights)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "106168320"
    assert done.stderr == ""
