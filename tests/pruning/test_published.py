"""One statement of each published formula, for tensors, static analysis, the symbolic engine, settings and prompts."""

import subprocess
import sys

from autoprune.pruning.published import EXPRESSIONS, PUBLISHED, written
from autoprune.pruning.scores import SCORES


def test_every_published_score_has_a_function_on_tensors_under_its_name():
    assert list(SCORES) == list(PUBLISHED)
    assert {name: (each.group, each.needs) for name, each in SCORES.items()} == {
        name: (each.group, each.needs) for name, each in PUBLISHED.items()
    }


def test_scores_that_read_the_gradient_ask_for_it():
    assert {name for name, each in EXPRESSIONS.items() if "'G'" in repr(each)} == {
        name for name, each in PUBLISHED.items() if "gradient" in each.needs
    }


def test_formulas_are_written_on_one_line():
    assert {name: written(expression) for name, expression in EXPRESSIONS.items()} == {
        "magnitude": "|W|",
        "wanda": "|W| X",
        "ria": "(|W| / row sum + |W| / column sum) X^0.5",
        "gblm": "|W| (X + 100 |gradient|)",
        "pruner-zero": "|W|^2 minmax(|gradient|)",
    }


def test_names_and_formulas_need_no_torch():
    code = "import sys, autoprune.pruning.published, autoprune.config; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
