"""A tokenizer of transformers as the metadata of a GGUF file.

Written are byte-level BPE, as of GPT-2, Llama 3, Qwen and SmolLM, and BPE over a SentencePiece vocabulary, as of Llama
2, Mistral and Gemma. llama.cpp knows how text is split before BPE by name alone: `PRE_TOKENIZERS`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gguf import GGUFWriter, TokenType

from autoprune.errors import UsageError
from autoprune.models.gguf_origin import Field, add_fields

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}"
_LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}"
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PRE_TOKENIZERS: dict[tuple[str, ...], str] = {
    ("bytes",): "gpt-2",
    ("digits", "bytes"): "smollm",
    (_QWEN2,): "qwen2",
    (_LLAMA3,): "llama-bpe",
    (_TEKKEN,): "tekken",
}
"""How a text is split, as `_splits` describes it, and llama.cpp's name for it. `bytes`: GPT-2's expression; `digits`:
every digit alone."""
SPACE, SPECIAL_SPACE = " ", "\u2581"
NO_TOKEN = "[PAD{}]"
SPECIAL = ("bos", "eos", "unk", "pad")
_ADDERS = {"unk": "add_unk_token_id", "pad": "add_pad_token_id"}


def describe_tokenizer(writer: GGUFWriter, tokenizer: Any, rows: int, carried: Mapping[str, Field], model: str) -> bool:
    """Add the metadata of a tokenizer; returns whether it is `carried` over from the GGUF file that the model came
    from.

    `rows`: of the embedding; tokens that the tokenizer lacks are written as unused. Raises UsageError for a tokenizer
    that llama.cpp has no form of.
    """
    tokens = carried.get("tokenizer.ggml.tokens")
    if tokens is not None and len(tokens.value) == rows:
        add_fields(writer, {key: field for key, field in carried.items() if key.startswith("tokenizer.")})
        return True
    description = _description(tokenizer, model)
    if len(tokenizer) > rows:
        raise UsageError(f"the tokenizer of {model} has {len(tokenizer)} tokens, its embeddings {rows}")
    spelled, kinds = _vocabulary(tokenizer, rows)
    if _is_sentencepiece(description):
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(spelled)
        writer.add_token_scores(_scores(spelled, description["model"]["merges"]))
        writer.add_token_types([_with_bytes(token, kind) for token, kind in zip(spelled, kinds, strict=True)])
        writer.add_add_space_prefix(_prepends_space(tokenizer))
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(pre_tokenizer(description, model))
        writer.add_token_list(spelled)
        writer.add_token_types(kinds)
        writer.add_token_merges([_spelled_merge(pair) for pair in description["model"]["merges"]])
        writer.add_add_space_prefix(False)
    _add_special(writer, tokenizer)
    return False


def pre_tokenizer(description: Mapping[str, Any], model: str = "the model") -> str:
    """llama.cpp's name for how a text is split. `description`: the contents of tokenizer.json."""
    normalizer = (description.get("normalizer") or {}).get("type")
    if normalizer not in (None, "NFC"):
        raise UsageError(f"the tokenizer of {model} normalises texts ({normalizer}), which llama.cpp does not")
    splits = _splits(description.get("pre_tokenizer"))
    if splits not in PRE_TOKENIZERS:
        raise UsageError(
            f"the tokenizer of {model} splits texts in a way that is not written as GGUF; known are those of "
            f"{', '.join(PRE_TOKENIZERS.values())}"
        )
    return PRE_TOKENIZERS[splits]


def _description(tokenizer: Any, model: str) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    description: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {}
    kind = description.get("model", {}).get("type")
    if kind != "BPE":
        raise UsageError(f"the tokenizer of {model} is no BPE ({kind or 'without tokenizer.json'}); it is not written")
    return description


def _splits(step: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The steps by which a text is split: an expression, `digits`, `bytes`; any other by its type."""
    if step is None:
        return ()
    match step["type"]:
        case "Sequence":
            return tuple(split for inner in step["pretokenizers"] for split in _splits(inner))
        case "ByteLevel" if not step.get("add_prefix_space"):
            return ("bytes",) if step.get("use_regex", True) else ()
        case "Digits" if step.get("individual_digits"):
            return ("digits",)
        case "Split" if step["behavior"] == "Isolated" and not step.get("invert"):
            return (step["pattern"].get("Regex", "?"),)
        case kind:
            return (kind,)


def _is_sentencepiece(description: Mapping[str, Any]) -> bool:
    return bool(description["model"].get("byte_fallback"))


def _vocabulary(tokenizer: Any, rows: int) -> tuple[list[str], list[int]]:
    """The spelling and the type of every row of the embedding."""
    by_id = {index: token for token, index in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    spelled, kinds = [], []
    for index in range(rows):
        if index not in by_id:
            spelled.append(NO_TOKEN.format(index))
            kinds.append(TokenType.UNUSED)
        elif index in added:
            special = added[index].special
            # Like every tool that writes GGUF: llama.cpp finds user-defined tokens in the text as it is.
            spelled.append(by_id[index] if special else by_id[index].replace(SPECIAL_SPACE, SPACE))
            kinds.append(TokenType.CONTROL if special else TokenType.USER_DEFINED)
        else:
            spelled.append(by_id[index])
            kinds.append(TokenType.NORMAL)
    return spelled, [int(kind) for kind in kinds]


def _with_bytes(token: str, kind: int) -> int:
    is_byte = len(token) == 6 and token.startswith("<0x") and token.endswith(">")
    return int(TokenType.BYTE) if is_byte and kind == TokenType.NORMAL else kind


def _scores(tokens: Sequence[str], merges: Sequence[Any]) -> list[float]:
    """Scores under which SentencePiece's merging, the best score first, merges in the order of `merges`."""
    first: dict[str, int] = {}
    for rank, pair in enumerate(merges):
        first.setdefault("".join(_pair(pair)), rank)
    return [-float(first.get(token, len(merges))) for token in tokens]


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _spelled_merge(merge: Any) -> str:
    """A merge on one line, separated by a space; spaces within are written in the byte alphabet of GPT-2."""
    return " ".join(part.replace(" ", "\u0120") for part in _pair(merge))


def _prepends_space(tokenizer: Any) -> bool:
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("a", add_special_tokens=False)["input_ids"])
    return bool(pieces) and pieces[0].startswith(SPECIAL_SPACE)


def _add_special(writer: GGUFWriter, tokenizer: Any) -> None:
    for name in SPECIAL:
        index = getattr(tokenizer, f"{name}_token_id", None)
        if index is not None:
            getattr(writer, _ADDERS.get(name, f"add_{name}_token_id"))(index)
    ids = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(tokenizer.eos_token_id is not None and ids[-1] == tokenizer.eos_token_id)
    template = getattr(tokenizer, "chat_template", None)
    if template:
        templates = (
            template
            if isinstance(template, str)
            else [{"name": name, "template": text} for name, text in template.items()]
        )
        writer.add_chat_template(templates)
