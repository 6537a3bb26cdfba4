"""llm-compressor's side of prune_speed.py, run by an interpreter that has llm-compressor: one `oneshot`, timed.

    python oneshot_peer.py MODEL_DIRECTORY DTYPE TOKENS.safetensors OUT.safetensors wanda|sparsegpt SPARSITY IGNORE

`tokens` [samples, seqlen] go in as they are, one sequence per batch, unshuffled. IGNORE is what the recipe ignores.
With the default `targets: Linear`, llm-compressor 0.14 names the head "lm_head." (with a dot), so that "lm_head" does
not match it and "re:.*lm_head" does. A head that is not ignored is pruned, and with it the embeddings that it
is tied to.
"""

import json
import sys
import time
from importlib.metadata import version

import torch
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.pruning import SparseGPTModifier, WandaPruningModifier
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

MODIFIERS = {"wanda": WandaPruningModifier, "sparsegpt": SparseGPTModifier}


def main() -> None:
    directory, dtype, tokens_file, out, method, sparsity, ignore = sys.argv[1:]
    tokens = load_file(tokens_file)["tokens"]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype))
    rows = {"input_ids": tokens.tolist(), "attention_mask": torch.ones_like(tokens).tolist()}
    recipe = MODIFIERS[method](sparsity=float(sparsity), targets=["Linear"], ignore=[ignore])
    started = time.perf_counter()
    model = oneshot(
        model=model,
        tokenizer=AutoTokenizer.from_pretrained(directory),
        dataset=Dataset.from_dict(rows),
        recipe=recipe,
        num_calibration_samples=len(tokens),
        max_seq_length=tokens.shape[1],
        shuffle_calibration_samples=False,
    )
    seconds = time.perf_counter() - started
    linears = {
        f"{name}.weight": module.weight.detach().contiguous()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    save_file(linears, out)
    print(json.dumps({"seconds": seconds, "version": version("llmcompressor")}))


if __name__ == "__main__":
    main()
