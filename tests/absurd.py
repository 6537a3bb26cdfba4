"""Sources that are legal and absurd, or hide what they do, for all who read a candidate's source."""

SCORE = "def score(layer):\n    return layer.weight.abs() * layer.input_norm\n"


def _nested(opening: str, inner: str, closing: str, times: int) -> str:
    return f"x = {opening * times}{inner}{closing * times}\n"


def deep(times: int) -> dict[str, str]:
    """Each kind of nesting so many times, beside a score that is fine."""
    return {
        "unary": SCORE + _nested("-", "1", "", times),
        "not": SCORE + _nested("not ", "1", "", times),
        "sum": SCORE + _nested("", "1", "+1", times),
        "power": SCORE + _nested("1**", "1", "", times),
        "attributes": SCORE + _nested("", "y", ".a", times),
        "calls": SCORE + _nested("", "y", "()", times),
        "subscripts": SCORE + _nested("", "y", "[0]", times),
        "lambdas": SCORE + _nested("lambda: ", "1", "", times),
        "conditions": SCORE + _nested("1 if 0 else ", "1", "", times),
        "elif": SCORE + "if 0: pass\n" + "elif 0: pass\n" * times,
        "in the score": f"def score(layer):\n    return {'-' * times}layer.weight.abs()\n",
        "in the group": SCORE + f"GROUP = {'-' * times}1\n",
        "in a default": f"def score(layer, x={'1+' * times}1):\n    return layer.weight\n",
        "in the allocation": SCORE + f"def allocate(units, sparsity):\n    return [{'-' * times}1]\n",
    }


BRACKETS = {
    "parentheses": SCORE + _nested("(", "1", ")", 150),
    "too many parentheses": SCORE + _nested("(", "1", ")", 5000),
    "lists": SCORE + _nested("[", "1", "]", 150),
    "dictionaries": SCORE + _nested("{1:", "1", "}", 150),
    "calls in calls": SCORE + _nested("f(", "1", ")", 150),
    "f-strings": SCORE + "x = f\"{f'{f'''{1}'''}'}\"\n" + _nested("f(f'{", "1", "}')", 1),
    "blocks": SCORE + "".join(f"{' ' * place}if 1:\n" for place in range(98)) + " " * 98 + "pass\n",
    "comprehensions": SCORE + _nested("[y for y in ", "z", "]", 150),
}
NUMBERS = {
    "20,000 digits": SCORE + "x = 1" + "0" * 20_000 + "\n",
    "20,000 hexadecimal digits": SCORE + "x = 0x" + "f" * 20_000 + "\n",
    "20,000 binary digits": SCORE + "x = 0b" + "1" * 20_000 + "\n",
    "a group of 20,000 hexadecimal digits": SCORE + "GROUP = 0x" + "f" * 20_000 + "\n",
    "a group without a plain string": SCORE + "GROUP: str\n",
    "infinity": SCORE + "x = 1e999\ny = 1e999j\n",
    "a factor beyond float": f"def score(layer):\n    return layer.weight * 1{'0' * 308}\n",
    "powers": "def score(layer):\n    return layer.weight.abs() ** 9 ** 9 ** 9 ** 9\n",
    "a dimension beyond everything": "def score(layer):\n    return layer.weight.abs().sum(dim=1e300)\n",
    "a dimension that is no number": "def score(layer):\n    return layer.weight.abs().sum(dim=layer.weight)\n",
}
GROUPS = {
    f"GROUP = {value[:20]}": SCORE + f"GROUP = {value}\n"
    for value in (
        *("0", "-1", "True", "None", "...", "1.5", "1e999", "2j", "b'row'", "'row' 'x'", "('row',)", "['row']", "{}"),
        *("f'row'", "'r' + 'ow'", "lambda: 0", "(y := 'row')", "'" + "x" * 50_000 + "'", "'\\ud800'", "*[1],"),
    )
}
FORMS = {
    "a class": "class score:\n    def __new__(cls, layer): return layer.weight\n",
    "a lambda": "score = lambda layer: layer.weight\n",
    "a decorator": "def d(f): return f\n@d\n@(lambda f: f)\ndef score(layer):\n    return layer.weight\n",
    "match": "def score(layer):\n    match layer.role:\n        case str() as r if r: return layer.weight\n        "
    "case {'a': [1, *_], **rest}: return layer\n        case -1.5 | 2+1j | None: pass\n",
    "walrus": "def score(layer):\n    return (w := layer.weight) * (n := w.abs())\n",
    "star": "def score(*a, **k):\n    first, *rest = a\n    return [*a, *rest][0].weight\n",
    "async inside": SCORE + "async def f():\n    async for x in y:\n        await x\n    return [x async for x in y]\n",
    "try star": SCORE + "try:\n    pass\nexcept* ValueError:\n    pass\n",
    "return outside": SCORE + "return 1\n",
    "nonlocal outside": SCORE + "nonlocal x\n",
    "debug": SCORE + "__debug__ = 1\n",
    "many statements": SCORE + "x=1\n" * 12_000,
    "a huge tuple": SCORE + "x = (" + "1," * 25_000 + ")\n",
    "a long name": SCORE + "x" * 50_000 + " = 1\nimport " + "y" * 10_000 + "\n",
    "dots": SCORE + "from " + "." * 50_000 + " import x\n",
    "a long string": SCORE + "x = '" + "\\x00" * 15_000 + "'\n",
    "escaped surrogates": SCORE.replace("layer)", "layer, s='\\ud800\\udfff')") + '"""\\ud800"""\n',
    "an unfinished line": SCORE + "x = 1 + \\",
    "nothing": "",
    "only a comment": "# score",
}
HIDING = {
    "NUL": SCORE + "# \0\n",
    "a lone surrogate": SCORE + "# \ud800\n",
    "a line separator": "def score(layer):\n    # kept:\u2028    return layer.weight\n    return -layer.weight\n",
    "a paragraph separator": SCORE + "x = '\u2029'\n",
    "a lone carriage return": '# nothing to see here\rprint("runs, shown as a comment")\n' + SCORE,
    "a carriage return at the end": SCORE + "# x\r",
    "a form feed": "\f" + SCORE,
    "a vertical tab": SCORE + "# a\vb\n",
    "next line": SCORE + "# a\x85b\n",
    "separators of files": SCORE + "# a\x1cb\x1db\x1ec\n",
    "an escape sequence": SCORE + "# \x1b[2K\x1b[1A\n",
    "a direction override": SCORE + "x = 1  # \u202e } \u2066 if admin \u2069\n",
    "a direction mark": SCORE + "# a\u200fb\u061c\n",
    "a zero width space": SCORE + "x = 'gra\u200bdient'\n",
    "a joiner": SCORE + "x = 'a\u200db'\n",
    "a byte order mark inside": SCORE + "# \ufeff\n",
    "an invisible letter": SCORE + "\u3164 = 1\n",
    "UTF-7": "# -*- coding: utf-7 -*-\n" + SCORE + "# +AAo-import os\n",
    "another encoding in the second line": "#!/usr/bin/python\n# vim: set fileencoding=latin-1 :\n" + SCORE,
    "an encoding that does not exist": "# coding: nonesuch\n" + SCORE,
}
FINE = {
    "CRLF": SCORE.replace("\n", "\r\n"),
    "tabs and letters of all kinds": SCORE.replace("    ", "\t") + "é = 'ä β 中文 🙂\xa0'  # naïve — “quoted”\n",
    "UTF-8, declared": "#!/usr/bin/python\n# -*- coding: UTF-8 -*-\n" + SCORE,
    "an encoding named in the third line": SCORE + "# coding: utf-7\n",
    "deep within bounds": SCORE + _nested("-", "1", "", 80) + _nested("", "1", "+1", 80),
    "numbers within bounds": SCORE + f"x = {2**1024 - 1}\ny = 1e308\n",
    "a score in words of its own": "score = (lambda f: f)(lambda layer: layer.weight)\n",
}
UNBOUNDED = {f"{name}, {times} times": text for times in (150, 3000) for name, text in deep(times).items()}
"""Too deep for any walker."""
AT_THE_BOUND = {f"{name}, {times} times": text for times in (40, 85, 97) for name, text in deep(times).items()}
"""Some just within the bounds."""
LEGAL = {**AT_THE_BOUND, **BRACKETS, **NUMBERS, **GROUPS, **FORMS, **FINE}
ABSURD = {**UNBOUNDED, **LEGAL, **HIDING}
