"""`autoprune trace --follow` of runs that have ended and of runs that go on."""

import os
import shutil
import signal
import subprocess
from pathlib import Path


def test_following_an_ended_run_prints_it_and_ends(here, recorded):
    lines = here("trace", recorded, "--follow").stdout.splitlines()
    assert "dense model: perplexity" in "".join(lines)
    assert "search ended: 4 candidates tried" in lines[-1]


def test_following_a_run_waits_for_its_end(command, environment, recorded, tmp_path):
    run, source = tmp_path / "going", Path(recorded)
    run.mkdir()
    shutil.copy(source / "config.yaml", run)
    lines = (source / "events.jsonl").read_bytes().splitlines(keepends=True)
    given = next(place for place, line in enumerate(lines) if b'"kind":"planned"' in line)
    (run / "events.jsonl").write_bytes(b"".join(lines[:given]))
    words = [*command, "trace", "going", "--follow"]
    with subprocess.Popen(words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert any("dense model" in line for line in iter(reader.stdout.readline, ""))
        with (run / "events.jsonl").open("ab", buffering=0) as file:
            file.write(lines[given][:10])
            file.write(lines[given][10:])
            file.writelines(lines[given + 1 :])
        assert "search ended" in reader.stdout.read().splitlines()[-1]
    assert reader.returncode == 0


def test_ctrl_c_ends_following_without_a_traceback(command, environment, recorded, tmp_path):
    run = tmp_path / "going"
    run.mkdir()
    shutil.copy(Path(recorded) / "config.yaml", run)
    (run / "events.jsonl").write_bytes((Path(recorded) / "events.jsonl").read_bytes().split(b"\n", 1)[0] + b"\n")
    words = [*command, "trace", "going", "--follow"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environment, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline()
        os.kill(reader.pid, signal.SIGINT)
        _, complaint = reader.communicate(timeout=60)
    assert reader.returncode == 130
    assert complaint == ""
