"""`autoprune trace --follow` of runs that have ended and of runs that go on."""

import shutil
import signal
from pathlib import Path


def test_following_an_ended_run_prints_it_and_ends(here, recorded):
    lines = here("trace", recorded, "--follow").stdout.splitlines()
    assert "dense model: perplexity" in "".join(lines)
    assert "search ended: 4 candidates tried" in lines[-1]


def test_following_a_run_waits_for_its_end(start, recorded, tmp_path):
    run, source = tmp_path / "going", Path(recorded)
    run.mkdir()
    shutil.copy(source / "config.yaml", run)
    lines = (source / "events.jsonl").read_bytes().splitlines(keepends=True)
    given = next(place for place, line in enumerate(lines) if b'"kind":"planned"' in line)
    (run / "events.jsonl").write_bytes(b"".join(lines[:given]))
    reader = start("trace", "going", "--follow")
    assert any("dense model" in line for line in iter(reader.stdout.readline, ""))
    with (run / "events.jsonl").open("ab", buffering=0) as file:
        file.write(lines[given][:10])
        file.write(lines[given][10:])
        file.writelines(lines[given + 1 :])
    assert "search ended" in reader.stdout.read().splitlines()[-1]
    assert reader.wait(60) == 0


def test_ctrl_c_ends_following_without_a_traceback(start, recorded, tmp_path):
    run = tmp_path / "going"
    run.mkdir()
    shutil.copy(Path(recorded) / "config.yaml", run)
    (run / "events.jsonl").write_bytes((Path(recorded) / "events.jsonl").read_bytes().split(b"\n", 1)[0] + b"\n")
    with (tmp_path / "complaint").open("w+") as complaint:
        reader = start("trace", "going", "--follow", err=complaint)
        assert reader.stdout.readline()
        reader.send_signal(signal.SIGINT)
        assert reader.wait(60) == 130
        assert complaint.seek(0, 2) == 0
