"""Which code a reply holds: by CommonMark's rules, and by what the code defines."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoprune.llm.code_blocks import fenced_code

CODE = "import torch\n\n\ndef score(layer):\n    return layer.weight.abs()\n"
BLOCK = f"```python\n{CODE}```"
FENCED = {
    "plain": BLOCK,
    "usage after it": f"{BLOCK}\n\nUse:\n\n```python\nscores = score(layer)\nprint(scores.shape)\n```",
    "usage that assigns after it": f"{BLOCK}\n\n```python\nscore = score(layer)\n```",
    "formula after it": f"{BLOCK}\n\nIn short:\n\n```\nscore = |W| * n^0.4\n```",
    "formula that is Python after it": f"{BLOCK}\n\n```\nscore = W.abs() * n**0.4\n```",
    "shell after it": f"{BLOCK}\n\n```bash\npython score.py\n```",
    "a worse one before it": f"```python\ndef score(layer):\n    return 1\n```\nBetter:\n{BLOCK}",
    "block in a longer block": f"````markdown\nHere:\n{BLOCK}\n````",
    "block in a block of Markdown": f"```markdown\nHere:\n{BLOCK}\n```",
    "tildes": f"~~~python\n{CODE}~~~",
    "five backticks": f"`````py\n{CODE}`````",
    "backticks within tildes": f"~~~~\n{BLOCK}\n~~~~",
    "in a list": "1. Code:\n\n" + "\n".join("   " + line for line in BLOCK.split("\n")),
    "in a nested list": "- a\n  - b\n\n" + "\n".join("    " + line for line in BLOCK.split("\n")),
    "in a quotation": "\n".join("> " + line for line in BLOCK.split("\n")),
    "in tags": f"<answer>\n{BLOCK}\n</answer>",
    "in HTML": f"<pre><code class='x'>\n{CODE}</code></pre>",
    "indented": "Code:\n\n" + "\n".join("    " + line for line in CODE.split("\n")),
    "without a fence": CODE,
    "prose, then bare code": f"Here is the code:\n\n{CODE}",
    "bare code, then prose": f"{CODE}\nThis keeps the large weights, doesn't it?\n",
    "bare code between prose": f"Sure!\n{CODE}\nDone",
    "bare code, then its use": f"# A score\n{CODE}\nprint(score(layer))\n",
    "not closed": f"```python\n{CODE}",
    "a fence that closes behind the code": f"```python\n{CODE.rstrip()}```",
    "such a fence, then prose": f"```python\n{CODE.rstrip()}```\nIt keeps the large ones, doesn't it?",
    "a fence that opens behind prose": f"Here: ```python\n{CODE}```",
    "the label on a line of its own": f"```\npython\n{CODE}```",
    "bare code in tags on its lines": f"<answer>{CODE.rstrip()}</answer>",
    "bare code in tags on lines of their own": f"<python>\n{CODE}</python>",
    "bare code in CodeLlama's tags": f"[PYTHON]{CODE}[/PYTHON]",
    "bare code, then a special token": f"{CODE}<|im_end|>",
    "bare code, then a list": f"{CODE}\n**Why**\n\n- `score` weighs.\n",
    "two pieces of bare code": f"Draft:\n\ndef score(layer):\n    return 1\n\nNo, better:\n\n{CODE}",
    "one backtick": f"`{CODE.rstrip()}`",
    "triple quotes": f"'''python\n{CODE}'''\nHope it helps!",
    "a fence in a list, its code outside": f"1. Code:\n   ```python\n{CODE}   ```\n2. Done",
    "a recalled signature after it": f"{BLOCK}\nIt is called so:\n```python\ndef score(layer):\n    ...\n```",
    "a recalled contract after it": f'{BLOCK}\n```\ndef score(layer):\n    """Scores."""\n    raise ValueError\n```',
    "a value of that name after it": f"{BLOCK}\n```python\nresult = 1\nscore = result\n```",
    "a factory's value after it": f"{BLOCK}\n```python\nimport torch\nscore = torch.rand(3)\n```",
    "a test after it": f"{BLOCK}\n```\nclass Fake:\n    weight = 1\n\n\ndef score_test():\n    score(Fake())\n```",
    "a diff after it": f"{BLOCK}\n```diff\n-def score(layer):\n+def score(layer):\n```",
    "a session": "```pycon\n>>> import torch\n...\n...\n>>> def score(layer):\n...     return layer.weight.abs()\n```",
    "a session after it": f"{BLOCK}\n```pycon\n>>> score(layer)\ntensor([1.])\n```",
    "escaped as HTML": f"```python\n{CODE.replace('(', '&#40;')}```",
    "a block in JSON": json.dumps({"code": BLOCK}),
    "in nested JSON": json.dumps({"files": [{"name": "a.py", "code": CODE}]}),
    "lines in JSON": json.dumps({"code": CODE.split("\n")}),
    "bare code before half a function": f"{CODE}\n\ndef other(x):\n    y = 1\n    return (",
    "in a string of JSON": json.dumps(CODE),
    "in JSON": json.dumps({"idea": "x", "code": CODE}),
    "in JSON in a fence": "```json\n" + json.dumps({"code": CODE}) + "\n```",
    "no-break spaces": BLOCK.replace("    ", "\u00a0" * 4),
    "other spaces": BLOCK.replace("    ", "\u2003\u2009\u3000\u202f"),
    "zero-width space": f"```python\n\u200b{CODE}```",
    "byte order mark in it": f"```python\n\ufeff{CODE}```",
    "byte order mark before it": f"\ufeff{BLOCK}",
    "word joiner within": f"```python\n{CODE.replace('.abs', '.⁠abs')}```",
    "carriage returns": BLOCK.replace("\n", "\r\n"),
}


@pytest.mark.parametrize(
    "label", ["", "py", "python3", "Python 3", "pytorch", "{.python}", "text", "json", 'python title="x"']
)
def test_the_label_of_a_block_does_not_matter(label: str) -> None:
    assert fenced_code(f"```{label}\n{CODE}```") == CODE


@pytest.mark.parametrize("reply", FENCED.values(), ids=FENCED)
def test_the_last_block_that_defines_the_score_is_found(reply: str) -> None:
    source = fenced_code(reply)
    assert source is not None
    assert source.removeprefix("# A score\n") == CODE


@pytest.mark.parametrize("indent", ["    ", "  "])
def test_a_fence_in_a_string_does_not_end_the_block(indent: str) -> None:
    body = [f'"""{"x" * 3}', "", "```", "|W|", "```", '"""', "return layer.weight.abs()"]
    source = "def score(layer):\n" + "\n".join(indent + line if line else "" for line in body) + "\n"
    assert fenced_code(f"```python\n{source}```\nThat is all.") == source


HELPER = "def damp(x):\n    return x.pow(0.4) + EPS"
SCORE = "def score(layer):\n    return layer.weight.abs() * damp(layer.input_norm)"


def test_what_a_score_needs_of_other_blocks_stands_in_front_of_it_in_order() -> None:
    parts = ["import math\nEPS = math.e", HELPER, f"{SCORE}", "print(damp(3))"]
    source = fenced_code("\nand\n".join(f"```python\n{part}\n```" for part in parts))
    assert source == f"import math\n\nEPS = math.e\n\n{HELPER}\n\n{SCORE}\n"


def test_a_helper_after_the_score_is_taken_and_its_use_is_not() -> None:
    parts = [SCORE, f"{HELPER}\n\nprint(damp(layer))", "EPS = 1e-6\nEPS"]
    source = fenced_code("\n".join(f"```\n{part}\n```" for part in parts))
    assert source == f"{HELPER}\n\nEPS = 1e-6\n\n{SCORE}\n"


def test_the_group_and_the_allocation_may_stand_in_blocks_of_their_own() -> None:
    allocate = "def allocate(units, sparsity):\n    return [sparsity for unit in units]"
    blocks = ['import torch\nGROUP = "row"', "def score(layer):\n    return torch.abs(layer.weight)", allocate]
    source = fenced_code("\n".join(f"```python\n{block}\n```" for block in blocks))
    assert source is not None
    assert all(part in source for part in ("import torch\n", 'GROUP = "row"', "def score", allocate))


def test_the_unit_may_stand_in_a_block_of_its_own() -> None:
    assert fenced_code(f'```\nUNIT = "module"\n```\n{BLOCK}') == f'UNIT = "module"\n\n{CODE}'


def test_an_import_that_is_tried_and_one_of_the_future_are_joined_where_python_wants_them() -> None:
    tried = "try:\n    import math\nexcept ImportError:\n    math = None"
    score = "def score(layer):\n    return layer.weight * math.e"
    reply = f"```python\n{tried}\n```\n```python\nfrom __future__ import annotations\n{score}\n```"
    assert fenced_code(reply) == f"from __future__ import annotations\n{tried}\n\n{score}\n"


@pytest.mark.parametrize(
    "source",
    [
        "class Scorer:\n    def score(self, layer):\n        return layer.weight\n\n\nscore = Scorer().score\n",
        "class Scorer:\n    def __call__(self, layer):\n        return layer.weight\n\n\nscore = Scorer()\n",
        "import functools\n\n\ndef base(layer, p):\n    return p\n\n\nscore = functools.partial(base, p=2)\n",
        "def make(p):\n    return lambda layer: layer.weight**p\n\n\nscore = make(2)\n",
        "def mine(layer):\n    return layer.weight\n\n\nscore = mine\n",
        "import torch\n\nif True:\n    def score(layer):\n        return layer.weight\n",
        "def score(layer):\n    return 1\n\n\nif __name__ == '__main__':\n    score = score(2)\n",
    ],
)
def test_a_function_is_found_however_it_is_bound(source: str) -> None:
    assert fenced_code(f"```python\n{source}```\nUse:\n```python\nscores = score(layer)\n```") == source


def test_an_earlier_attempt_lends_its_helpers_but_not_its_group() -> None:
    first = f'GROUP = "layer"\nEPS = 1\n\n\n{HELPER}\n\n\ndef score(layer):\n    return 1'
    source = fenced_code(f"```\n{first}\n```\nOnly the score changes:\n```\n{SCORE}\n```")
    assert source == f"EPS = 1\n\n{HELPER}\n\n{SCORE}\n"


def test_a_function_that_runs_over_two_blocks_is_joined() -> None:
    reply = "```python\nimport torch\ndef score(layer):\n```\nthen\n```python\n    return layer.weight\n```"
    assert fenced_code(reply) == "import torch\ndef score(layer):\n\n    return layer.weight\n"


def test_a_lambda_is_a_score() -> None:
    assert (
        fenced_code("```\nscore = lambda layer: layer.weight\n```\n```\nx = 1\n```")
        == "score = lambda layer: layer.weight\n"
    )


def test_characters_within_strings_stay_where_they_do_no_harm() -> None:
    source = 'NAME = "a\u00a0b“c”"\n\n\ndef score(layer):\n    return layer.weight\n'
    assert fenced_code(f"```\n{source}```") == source


def test_typeset_quotes_and_signs_are_made_plain() -> None:
    assert fenced_code("```\nGROUP = “row”\n\ndef score(layer):\n    return layer.weight − 1\n```") == (
        'GROUP = "row"\n\ndef score(layer):\n    return layer.weight - 1\n'
    )


@pytest.mark.parametrize(
    ("reply", "source"),
    [
        ("```python\ndef prune(layer):\n    return 1\n```", "def prune(layer):\n    return 1\n"),
        (
            "```python\ndef score(layer):\n    return (\n```\nUse:\n```\nx = score(l)\n```",
            "def score(layer):\n    return (\n",
        ),
        ("```python\n    return W\n```", "    return W\n"),
        ("```python\nasync def score(layer): ...\n```", "async def score(layer): ...\n"),
    ],
    ids=["another name", "a mistake", "a body alone", "async"],
)
def test_code_that_defines_no_score_is_returned_for_its_author_to_mend(reply: str, source: str) -> None:
    assert fenced_code(reply) == source


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot.",
        "score = |W|",
        "```json\n{}\n```",
        "```bash\nls\n```",
        f"```python\n{CODE[:-8]}(",
        f"{CODE[:-8]}\n    w = (",
        "42",
        "score",
    ],
)
def test_a_reply_without_code_or_with_half_of_it_holds_none(reply: str) -> None:
    assert fenced_code(reply) is None


@pytest.mark.parametrize(
    "piece",
    [
        "```\n",
        "> ",
        "def score(\n",
        "```\nscore=\n```\n",
        "- ",
        "[",
        "```python\ndef score(x):\n  '''\n",
        "x=1\n",
        "(",
        "<pre>",
        "###x(\n",
        "x=1\n!\n",
        ">>> x\n",
        "<answer>",
        '{"a": ',
    ],
)
def test_any_reply_is_read_in_bounded_time(piece: str) -> None:
    fenced_code(piece * (60_000 // len(piece)) + "?")


@pytest.mark.parametrize("source", ["(" * 5000, "-" * 90_000 + "1", "a." * 20_000 + "b", "1" * 20_000, "\0"])
def test_a_source_that_the_parser_gives_up_on_is_no_score(source: str) -> None:
    assert (fenced_code(f"{BLOCK}\n```\nscore = lambda layer: {source}\n```") or "").endswith((CODE, f"{source}\n"))


@given(
    st.lists(st.sampled_from(["```", "~~~", "\n", CODE, "    ", "> ", "- ", "x", "<pre>", '"""', "\u00a0"])).map(
        "".join
    )
)
def test_any_mixture_is_read_without_a_crash(text: str) -> None:
    fenced_code(text)
