"""What a run began with it keeps, whatever `auto` would find another time."""

import pytest

from autoprune.config import Config
from autoprune.log import log_to
from autoprune.measuring.opening import open_workbench
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from tests.bos_models import BOS, SEQLEN

DATA = {"seqlen": SEQLEN, "calibration_samples": 2, "search_windows": 2, "report_windows": 2}


@pytest.fixture
def chosen(bos_models, cache, tmp_path):
    """Opens the workbench of a run, of which `record` is known; returns what stands before its windows, and before
    those of another model, and what was said of it."""

    def opened(record, bos="auto", model="needs", other=None):
        text = str(bos_models.text)
        tree = {
            "model": str(getattr(bos_models, model)),
            "device": "cpu",
            "dtype": "float32",
            "sandbox": {"engine": "local"},
        }
        config = Config.model_validate({**tree, "data": {**DATA, "source": text, "calibration": text, "bos": bos}})
        run = RunDirectory.create(tmp_path / f"run{len(list(tmp_path.glob('run*')))}", config)
        run.write_settings(config, record)
        archive, said = Archive(run.archive_file), []
        try:
            with log_to(said.append), open_workbench(config, run, archive) as workbench:
                places = [workbench, *([workbench.with_model(str(getattr(bos_models, other)))] if other else [])]
                rows = [(place.dense("search").bos, place.bench.windows("report").bos) for place in places]
        finally:
            archive.close()
        assert all(bos == (token and token.text) for bos, token in rows)
        return [bos for bos, _ in rows], [line for line in said if "bos" in line]

    return opened


def test_a_new_run_finds_out_and_so_does_a_second_model(chosen):
    found, said = chosen({}, other="adds")
    assert found == [BOS, None]
    assert [line.partition(" in front")[0] for line in said] == [f"data.bos=auto: {BOS}", f"data.bos=auto: no {BOS}"]


@pytest.mark.parametrize(("model", "bos", "kept"), [("needs", "never", None), ("adds", "always", BOS)])
def test_a_run_that_goes_on_keeps_what_it_began_with(chosen, model, bos, kept):
    found, said = chosen({"bos": bos, "texts": {}}, model=model, other="needs")
    assert found == [kept, BOS]
    assert f"bos {bos}: as the run began" in said[0]
    assert len(said) == 2


def test_a_run_of_a_version_that_knew_no_bos_goes_on_without(chosen):
    assert chosen({"texts": {"search": {"source": "builtin", "tokens": "0"}}})[0] == [None]


def test_what_the_settings_say_needs_no_record(chosen):
    assert chosen({"bos": "never", "texts": {}}, bos="always")[0] == [BOS]
