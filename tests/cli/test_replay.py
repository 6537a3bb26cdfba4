"""`autoprune search --llm replay` as its user sees it: with a file, without a key, and with files that are no good."""

import json
import subprocess

import pytest
import yaml

from autoprune.recordings import shipped
from autoprune.runs.archive import Archive
from autoprune.runs.directory import RunDirectory
from tests.llm.faulty_server import ChatServer
from tests.llm.test_recording import ENTRY, HEADER, write
from tests.search.test_search import scripted

WORDS = (
    "agents.symbolic_share=0.5",
    "advanced.symbolic_first=false",
    "search.max_candidates=2",
    "advanced.layer_error=null",
)
KEY = "sk-live-ABCDEFGH12345678"


def leaky(body):
    """As `scripted`; critic and analyst repeat the key."""
    return scripted(body).replace('"fine"', f'"fine, {KEY}"').replace("variance helps", f"variance helps {KEY}")


@pytest.fixture(scope="module")
def recording(tiny_model, tmp_path_factory):
    """A recorded search through a server that repeats the key, run by the command."""
    from autoprune.cli import main

    home = tmp_path_factory.mktemp("recording")
    with pytest.MonkeyPatch.context() as patch, ChatServer(leaky) as server:
        from tests.small_search import SMALL

        words = [
            *SMALL,
            "llm.provider=openai",
            f"llm.base_url={server.base_url}",
            "llm.profile=small",
            "llm.record=true",
            *WORDS,
        ]
        patch.setenv("AUTOPRUNE_CACHE", str(home / "cache"))
        patch.setenv("OPENAI_API_KEY", KEY)
        patch.setattr("sys.argv", ["autoprune", "search", f"model={tiny_model}", *words, "--run-dir", str(home / "r")])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
    return home / "r" / "recording.jsonl"


def played(small):
    """Of `small` what a recording does not keep."""
    kept = ("sparsity", "data.", "search.", "baselines.", "confirmation.", "advanced.", "llm.")
    return [word for word in small if not word.startswith(kept)]


def test_a_recording_is_played_under_its_own_settings_and_says_so_everywhere(here, small, recording, tmp_path):
    words = [*played(small), "advanced.cache=off"]
    done = here("search", *words, "--llm", "replay", f"llm.recording={recording}", "--run-dir", "r")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "replies were recorded on 20" in said
    assert "from scripted: no model is called" in said
    assert "measurements are made on this machine" in said
    assert "2 candidates tried" in said
    settings = yaml.safe_load((tmp_path / "r" / "config.yaml").read_text())["config"]
    assert (settings["sparsity"], settings["data"]["seqlen"], settings["search"]["max_candidates"]) == (0.5, 64, 2)
    assert settings["agents"]["symbolic_share"] == 0.5
    assert settings["llm"]["recording"] == str(recording)
    assert "settings from the recording: sparsity=0.5" in done.stderr.replace("\n", " ")
    for told in (here("trace", "r"), here("trace", "r", "g1"), here("trace", "r", "g1.c1")):
        assert "replies were recorded on 20" in " ".join(told.stdout.split())
    assert "replies were recorded on 20" in (tmp_path / "r" / "report.html").read_text("utf-8")
    listed = json.loads(here("runs", ".", "--json").stdout)
    assert listed[0]["engine"] == "replay"
    started = [event for event in json.loads(here("trace", "r", "--json").stdout) if event["kind"] == "run-started"]
    assert started[0]["data"]["record"]["replay"]["models"] == ["scripted"]
    assert here("resume", "r").returncode == 0


def test_what_the_user_gives_counts_more_than_what_was_recorded(here, small, recording, tmp_path):
    (tmp_path / "own.yaml").write_text("search: {max_candidates: 1}\n")
    words = ["own.yaml", *played(small), "advanced.cache=off", "--sparsity", "0.6"]
    done = here("search", *words, f"llm.recording={recording}", "--run-dir", "r", "--json")
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load((tmp_path / "r" / "config.yaml").read_text())["config"]
    assert (settings["sparsity"], settings["search"]["max_candidates"]) == (0.6, 1)
    assert settings["search"]["generation_size"] == 2
    assert settings["llm"]["provider"] == "replay"


def test_no_key_is_in_a_recording(recording):
    kept = recording.read_text("utf-8")
    assert KEY not in kept
    assert "variance helps ***" in kept


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (None, "cannot read the recording r.jsonl: No such file"),
        ([], "is empty"),
        (["hello"], "is not a recording"),
        ([{**HEADER, "version": 9}], "newer autoprune"),
        ([HEADER], "holds no replies"),
        ([HEADER, "{"], "line 2, holds no reply"),
        ([{**HEADER, "target": "evil/model"}, ENTRY], "choose a target with --model"),
        ([{**HEADER, "settings": {"search.generation_size": -1}}, ENTRY], "settings in the recording r.jsonl cannot"),
    ],
)
def test_a_file_that_cannot_be_played_is_one_line_and_exit_2_and_leaves_no_run(here, tmp_path, lines, said):
    if lines is not None:
        write(tmp_path / "r.jsonl", *lines)
    done = here("search", "--llm", "replay", "llm.recording=r.jsonl", "--run-dir", "r")
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_a_replay_is_not_recorded_again(here, small, recording, tmp_path):
    words = [*small, "--llm", "replay", f"llm.recording={recording}", "llm.record=true"]
    done = here("search", *words, "--run-dir", "r")
    assert done.returncode == 2
    assert "llm.record=true cannot be used with --llm replay" in done.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.model
@pytest.mark.timeout(3600)
def test_the_shipped_search_ends_better_than_every_baseline(command, environment, built_in_model, tmp_path):
    """All of its candidates, as `autoprune search --llm replay` alone plays them; the baselines have swaps, too. On all
    cores, and in a new process, since OpenMP's threads do not survive a fork."""
    own = environment | {"AUTOPRUNE_CACHE": str(built_in_model.parent.parent)}
    del own["OMP_NUM_THREADS"]
    words = ["search", "--llm", "replay", "--sandbox", "local", "--run-dir", str(tmp_path / "r"), "--json"]
    done = subprocess.run([*command, *words], env=own, cwd=tmp_path, capture_output=True, text=True, timeout=3500)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    keys = [json.loads(line)["key"] for line in shipped().read_text(encoding="utf-8").splitlines()[1:]]
    archive = Archive.of(RunDirectory.open(tmp_path / "r"))
    played = {outcome.slot for outcome in archive.outcomes()}
    archive.close()
    assert played >= {key.partition(".propose.0")[0] for key in keys if ".propose.0" in key}
    best = {
        kind: min(row["report"] for row in rows if row["kind"] == kind and row["report"] is not None)
        for kind in ("candidate", "baseline")
    }
    assert best["candidate"] < best["baseline"]
    assert any("swaps" in row["name"] for row in rows if row["kind"] == "baseline" and row["report"] is not None)
