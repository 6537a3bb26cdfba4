"""How a long source is arranged: `score` first, helpers folded, every line in exactly one part, nothing hidden."""

import pytest

from autoprune.report.outline import WHOLE, lines_of, outline

HELPER = '''def helper_{0}(weight):
    """Helper {0}.

    More about it.
    """
{1}    return weight
'''
LONG = HELPER.format(0, "    weight = weight + 1\n" * 40)
SCORE = "def score(layer):\n    return helper_0(layer.weight)\n"
HEAD = '"""A score."""\n\nimport torch\n\nGROUP = "row"\n# the exponent\nPOWER = 0.5\n\n\n'
SOURCE = f"{HEAD}{LONG}\n\n# how it ranks\n{SCORE}"
ALLOCATE = "def allocate(units, sparsity):\n    return [1 - sparsity for _ in units]\n"


def read(source, folded=False):
    """The lines of a source as an outline arranges them."""
    lines = lines_of(source)
    return [
        line
        for part in outline(source)
        for line in lines[part.first - 1 : part.first - 1 + (part.head if folded else part.count)]
    ]


def test_docstring_then_score_then_settings_then_allocate_then_helpers():
    words = ['"""A', "def score", "import torch", "GROUP", "POWER", "def allocate", "def helper_0"]
    lines = read(f"{SOURCE}\n\n{ALLOCATE}")
    places = [next(place for place, line in enumerate(lines) if line.startswith(word)) for word in words]
    assert places == sorted(places)


def test_a_helper_is_folded_to_its_signature_and_the_first_line_of_its_docstring():
    helper = outline(SOURCE)[-1]
    assert read(SOURCE, folded=True)[-2:] == ["def helper_0(weight):", '    """Helper 0.']
    assert helper.folded == len(lines_of(LONG)) - 2


def test_a_comment_stays_above_what_it_is_about():
    lines = read(SOURCE)
    assert lines[lines.index("def score(layer):") - 1] == "# how it ranks"
    assert lines[lines.index("POWER = 0.5") - 1] == "# the exponent"


def test_a_short_source_and_what_does_not_parse_stay_whole_in_their_own_order():
    short = LONG[: LONG.index("    weight = ")] + "    return 1\n\n" + SCORE
    for source in (short, f"{SOURCE}\nthis is no Python\n", f"{SOURCE}# \u202e\n", ""):
        [part] = outline(source)
        assert (part.first, part.count, part.folded) == (1, len(lines_of(source)), 0)


@pytest.mark.parametrize(
    "source",
    [
        SOURCE,
        "x = 1; y = 2\n" * 60 + SCORE,
        f"{SOURCE}# the end\n# really\n",
        f"# the beginning\n\n\n{SOURCE}",
        "# nothing but comments\n" * 60,
        "\n" * 60,
        SOURCE.replace("\n", "\r\n"),
        SOURCE + "\n\n@staticmethod\n" + LONG.replace("helper_0", "helper_1"),
        "if 1:\n" + "    x = 1\n" * 60 + "else:\n    pass\n",
        "class A:\n" + "    x = 1\n" * 60,
    ],
)
def test_every_line_but_blank_ones_is_in_exactly_one_part(source):
    assert sorted(filter(str.strip, read(source))) == sorted(filter(str.strip, lines_of(source)))


@pytest.mark.parametrize(
    "binding",
    [
        SCORE * 2,
        "if True:\n    def score(layer):\n        return layer.weight\n",
        "score = helper_0\n",
        "try:\n    score = helper_0\nexcept ValueError:\n    pass\n",
        "from autoprune.kit import wanda as score\n",
        "class score:\n" + "    x = 1\n" * 30,
    ],
)
def test_whatever_gives_score_a_value_comes_first_and_is_not_folded(binding):
    lines = read(LONG + LONG.replace("helper_0", "helper_1") + binding, folded=True)
    assert lines[: len(lines_of(binding))] == lines_of(binding)


def test_a_score_inside_a_helper_does_not_come_first():
    nested = "def helper_1(layer):\n    def score(layer):\n        return 0\n" + "    layer = layer\n" * 30
    assert read(f"{nested}\n{SOURCE}".replace('"""A score."""', ""))[:2] == ["# how it ranks", "def score(layer):"]


def test_a_helper_that_changes_names_of_the_module_is_not_folded():
    sly = LONG.replace('    """Helper 0.', "    global score\n    score = None\n    " + '"""Helper 0.')
    assert "    score = None" in read(f"{SCORE}\n{sly}", folded=True)


def test_of_a_docstring_that_opens_on_a_line_of_its_own_the_first_words_are_shown():
    helper = LONG.replace('"""Helper 0.', '"""\n    Helper 0.')
    assert read(SCORE + helper, folded=True)[-3:] == ["def helper_0(weight):", '    """', "    Helper 0."]


def test_a_signature_of_several_lines_and_decorators_are_shown():
    helper = "@torch.no_grad()\n" + LONG.replace("(weight)", "(\n    weight,\n    power=2,\n)")
    shown = read(SCORE + helper, folded=True)
    assert shown[2:] == [*lines_of(helper)[:5], '    """Helper 0.']


def test_ten_thousand_functions_are_arranged():
    source = "".join(f"def f{number}(): return {number}\n" for number in range(10_000)) + SCORE
    parts = outline(source)
    assert len(parts) == 10_001
    assert parts[0].first == 10_001
    assert sum(part.count for part in parts) == 10_002 > WHOLE
