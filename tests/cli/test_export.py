"""`autoprune export`, as its users start it, with the real llama.cpp."""

import json
import os
import shutil

import pytest
import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM

from autoprune.exporting.llama_cpp import engine_problem
from tests.gguf_models import write_gguf

needs_engine = pytest.mark.skipif(
    engine_problem() is not None and not os.environ.get("CI"), reason="needs the extra local-llm"
)
SMALL = ["--seqlen", "48", "--windows", "3", "--calibration-samples", "4", "--device", "cpu"]


@needs_engine
def test_a_pruned_model_goes_to_llama_cpp_and_its_check_is_told(here, tiny_model, tmp_path):
    assert here("prune", "--model", str(tiny_model), *SMALL, "--out", "pruned").returncode == 0
    done = here("export", "pruned", "--quantise", "f16", "--out", "pruned.gguf", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["bytes"] == (tmp_path / "pruned.gguf").stat().st_size < said["source_bytes"]
    check = said["check"]
    assert check["runtime"] == "llama.cpp"
    assert check["ratio"] == pytest.approx(1.0, abs=0.005)
    assert (check["texts"], check["differences"], said["unchecked"]) == (200, [], None)
    assert check["completion"]
    described = GGUFReader(tmp_path / "pruned.gguf").fields["general.description"].contents()
    assert described == "pruned by AutoPrune: 50.00% zeros, wanda"


@needs_engine
def test_what_fails_its_check_is_not_written(here, tiny_model, tmp_path):
    done = here("export", str(tiny_model), "--quantise", "q4_0", "--tolerance", "0", "--out", "a.gguf")
    assert done.returncode == 1
    assert "the export failed its check, and nothing is written: the perplexity in llama.cpp is" in done.stderr
    other = shutil.copytree(tiny_model, tmp_path / "other")
    description = json.loads((other / "tokenizer.json").read_text())
    description["added_tokens"][0]["lstrip"] = True  # it takes the space before it, which llama.cpp does not know
    (other / "tokenizer.json").write_text(json.dumps(description))
    done = here("export", "other", "--out", "a.gguf")
    assert done.returncode == 1
    assert "llama.cpp has other tokens than transformers for" in done.stderr.splitlines()[-1]
    assert not [path for path in tmp_path.iterdir() if path.name not in ("other", "cache", "runs")]


def test_without_the_engine_it_says_that_the_file_was_not_checked(autoprune, tiny_model, tmp_path):
    blocked = tmp_path / "without"
    blocked.mkdir()
    (blocked / "xllamacpp.py").write_text("raise ImportError('it was left out')\n")
    done = autoprune("export", str(tiny_model), "--out", "a.gguf", PYTHONPATH=str(blocked))
    assert done.returncode == 0, done.stderr
    assert "not checked: llama.cpp is installed but cannot be imported (ImportError: it was left out)" in done.stdout
    assert (tmp_path / "a.gguf").exists()


def test_a_directory_has_the_dtype_that_the_model_came_in(here, tiny_model, tmp_path):
    halved = shutil.copytree(tiny_model, tmp_path / "halved")
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(halved)
    done = here("export", "halved", "--format", "hf", "--out", "again", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "bfloat16"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "again", dtype="auto").dtype == torch.bfloat16


@needs_engine
def test_from_a_quantised_file_prune_writes_bfloat16_and_the_way_back_keeps_its_name(here, tiny_model, tmp_path):
    write_gguf(tiny_model, tmp_path / "plain.gguf")
    assert here("export", "plain.gguf", "--quantise", "q8_0", "--out", "small.gguf").returncode == 0
    done = here("prune", "--model", "small.gguf", *SMALL, "--out", "pruned", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["dtype"] == "bfloat16"
    assert said["dense_bytes"] == (tmp_path / "small.gguf").stat().st_size
    assert [set(texts) for texts in said["completions"]] == [{"prompt", "dense", "pruned"}] * 2
    assert (tmp_path / "pruned" / "origin.gguf-header").exists()
    measured = here("evaluate", "pruned", "--seqlen", "48", "--windows", "3", "--dtype", "float32", "--json")
    assert json.loads(measured.stdout)["perplexity"] == pytest.approx(said["perplexity"], rel=1e-5)
    done = here("export", "pruned", "--out", "pruned.gguf")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--quantise", "q4_k_m"], "'q4_k_m' is not one of"),
        (["--out", "a.bin"], "a.bin must end in .gguf"),
        (["--out", "taken.gguf"], "taken.gguf exists already"),
        (["--format", "onnx"], "'onnx' is not one of gguf, hf"),
        (["--dtype", "float16"], "--dtype is for --format hf"),
        (["--format", "hf", "--quantise", "f16"], "--quantise is for --format gguf"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_exit_2(here, tiny_model, tmp_path, words, complaint):
    (tmp_path / "taken.gguf").write_text("precious")
    done = here("export", str(tiny_model), "--out", "a.gguf", *words)
    assert done.returncode == 2, done.stderr
    assert complaint in done.stderr.splitlines()[-1]
    assert not (tmp_path / "a.gguf").exists()
    assert (tmp_path / "taken.gguf").read_text() == "precious"
