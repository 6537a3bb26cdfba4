"""A refinement or an update is one file: its name is a choice of settings and options because the file is there."""

import json
import subprocess
import sys

import pytest

from autoprune.config import load_config
from autoprune.config_values import REFINEMENTS, UPDATES
from autoprune.errors import UsageError
from autoprune.pruning.fields import EXPENSIVE_FIELDS, LAYER_FIELDS
from autoprune.pruning.named_files import names_beside
from autoprune.pruning.published import PUBLISHED
from autoprune.pruning.refinements import table as refinements
from autoprune.pruning.updates import table as updates


def test_every_file_but_the_table_is_a_name(tmp_path):
    for name in ("__init__", "spec", "table", "swaps", "own_masks"):
        (tmp_path / f"{name}.py").write_text("")
    assert names_beside(str(tmp_path / "table.py")) == ("own-masks", "swaps")


def test_settings_and_options_take_these_names_and_none():
    assert REFINEMENTS == ("none", *refinements.NAMES) == ("none", "dsnot", "swaps")
    assert UPDATES == ("none", *updates.NAMES) == ("none", "admm", "admm-own", "alps", "alps-own", "obs")
    assert load_config(None, ["baselines.refinements=[dsnot]"]).baselines.refinements == ["dsnot"]


def test_every_name_has_its_functions():
    statistics = {field.name for field in (*LAYER_FIELDS, *EXPENSIVE_FIELDS)}
    for name in refinements.NAMES:
        spec = refinements.spec_of(name)
        assert spec.title
        assert set(spec.reads) <= statistics
        assert spec.rounds >= 1
    for name in updates.NAMES:
        update = updates.spec_of(name)
        assert update.apply is not None or update.choose is not None
        assert (update.chooses_with in PUBLISHED) == (update.choose is not None)


@pytest.mark.parametrize("table", [refinements, updates])
def test_an_unknown_name_is_refused_with_the_known_ones(table):
    for unknown in ("luck", "none", "spec"):
        with pytest.raises(UsageError, match=rf"unknown \w+ '{unknown}'; there are none, "):
            table.spec_of(unknown)


def test_the_statistics_of_a_list_of_refinements():
    assert refinements.any_reads(["none", "swaps"], "hessian")
    assert not refinements.any_reads(["none", "dsnot"], "hessian")


def test_the_names_are_read_without_torch():
    script = (
        "import sys, json; from autoprune.pruning.refinements.table import CHOICES; "
        "from autoprune.pruning.updates.table import NAMES; from autoprune.cli import parse; "
        "print(json.dumps([CHOICES, NAMES, 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [["none", *refinements.NAMES], [*updates.NAMES], False]
