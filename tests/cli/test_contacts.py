"""A run from elsewhere makes no command contact what its settings name, until the user has confirmed that once."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from autoprune.config import Config, load_config
from autoprune.errors import UsageError
from autoprune.runs.contacts import check, contacts, data_dir, unconfirmed
from autoprune.runs.directory import RunDirectory
from tests.postgres_server import ON_POSTGRES
from tests.small_search import SMALL

SECRET = "sk-a-secret-key"


class Listener:
    """Takes connections on a loopback port and counts them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                outer.calls.append(str(self.client_address))

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")


@pytest.fixture
def foreign(listener, tiny_model, tmp_path):
    """A run directory that was made for another place, with settings that lead to the listener."""

    def make(*words: str) -> RunDirectory:
        filled = [word.format(port=listener.port) for word in words]
        run = RunDirectory.create(tmp_path / "theirs", load_config(None, [f"model={tiny_model}", *SMALL]))
        config, record = run.settings()
        config = load_config(None, [f"model={tiny_model}", *SMALL, *filled])
        run.write_settings(config, {**record, **({"schema": "autoprune_x"} if config.database else {})})
        shutil.copytree(run.path, tmp_path / "copied")
        return RunDirectory(tmp_path / "copied")

    return make


DATABASE = "database=postgresql://ann@127.0.0.1:{port}/x"
ENDPOINT = "llm.base_url=http://127.0.0.1:{port}/v1"
ROLE = "llm.roles.critic.base_url=http://127.0.0.1:{port}/v1"
CLUSTER = "executor.address=127.0.0.1:{port}"
SETTINGS = [
    (DATABASE,),
    (ENDPOINT, "llm.provider=openai"),
    (ENDPOINT, "llm.provider=auto"),
    (ROLE, "llm.provider=local"),
    (CLUSTER, "executor.kind=ray"),
]


@pytest.mark.parametrize("words", SETTINGS, ids=lambda words: words[0].partition("=")[0] + words[-1])
@pytest.mark.parametrize(
    "command", [("resume", "copied"), ("fork", "copied"), ("fork", "copied", "seed=3")], ids=" ".join
)
def test_what_goes_on_with_a_run_contacts_nothing_unconfirmed(here, foreign, listener, tmp_path, words, command):
    foreign(*words)
    done = here(*command)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (refused,) = done.stderr.strip().splitlines()
    assert "was not confirmed on this machine; nothing was sent there" in refused
    assert f"--trust {contacts(RunDirectory(tmp_path / 'copied').settings()[0])[0]}" in refused
    assert listener.calls == []
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        ((ENDPOINT, "llm.provider=symbolic"), ("fork", "copied", "llm.provider=openai")),
        ((ROLE, "llm.provider=symbolic"), ("fork", "copied", "llm.provider=openai", "llm.model=m")),
        ((CLUSTER, "executor.kind=here"), ("fork", "copied", "executor.kind=ray")),
        ((CLUSTER, "executor.kind=processes"), ("resume", "copied", "--executor", "ray")),
    ],
    ids=lambda words: " ".join(words[-2:]),
)
def test_what_a_run_names_and_does_not_use_is_not_put_to_use_unconfirmed(here, foreign, listener, settings, command):
    foreign(*settings)
    done = here(*command)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "was not confirmed on this machine; nothing was sent there" in done.stderr.strip().splitlines()[-1]
    assert listener.calls == []


@pytest.mark.parametrize(
    "command",
    [
        ("trace", "copied"),
        ("trace", "copied", "--json"),
        ("report", "copied"),
        ("approve", "copied"),
        ("approve", "copied", "--rest"),
        ("export-algorithm", "copied:best", "--out", "best.py"),
        ("compare", "--algorithms", "copied:best"),
        ("prune", "--algorithm", "copied:best", "--out", "out"),
    ],
    ids=" ".join,
)
def test_what_reads_a_run_does_not_contact_its_database_unconfirmed(here, foreign, listener, command):
    foreign(DATABASE)
    done = here(*command)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (refused,) = done.stderr.strip().splitlines()
    assert refused.endswith(f"--trust postgresql://ann@127.0.0.1:{listener.port}/x")
    assert listener.calls == []


def test_what_is_confirmed_once_is_contacted_from_then_on(here, foreign, listener):
    foreign(DATABASE)
    url = f"postgresql://ann@127.0.0.1:{listener.port}/x"
    assert "not confirmed" in here("trace", "copied").stderr
    for command in (("trace", "copied", "--trust", url), ("report", "copied"), ("resume", "copied")):
        before = len(listener.calls)
        done = here(*command)
        assert (done.returncode, "not confirmed" in done.stderr) == (2, False)
        assert "cannot use the database" in done.stderr
        assert f"copied contacts {url}" in done.stderr
        assert len(listener.calls) > before


def test_what_the_user_names_again_is_confirmed(here, foreign, listener):
    foreign(DATABASE)
    for password in ("", f":{SECRET}"):
        done = here("resume", "copied", "--database", f"postgresql://ann{password}@127.0.0.1:{listener.port}/x")
        assert "cannot use the database" in done.stderr
        assert SECRET not in done.stderr
    assert listener.calls


def test_only_what_a_run_names_can_be_confirmed_for_it(here, foreign):
    foreign(ENDPOINT, "llm.provider=openai")
    done = here("trace", "copied", "--trust", "http://elsewhere/v1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "do not name http://elsewhere/v1; they name: http://127.0.0.1:" in done.stderr


def test_a_run_of_ones_own_is_confirmed_as_it_is_made_and_another_is_not(tmp_path):
    config = load_config(None, ["llm.base_url=https://ann:secret@host.example/v1", "llm.provider=openai"])
    assert contacts(config) == ["https://host.example/v1"]
    run = RunDirectory.create(tmp_path / "run", config)
    check(run.path, contacts(config))
    (tmp_path / "by-link").symlink_to(run.path)
    check(tmp_path / "by-link", contacts(config))
    shutil.copytree(run.path, tmp_path / "copy")
    assert unconfirmed(tmp_path / "copy", contacts(config)) == contacts(config)
    assert unconfirmed(run.path, ["https://other.example/v1"]) == ["https://other.example/v1"]
    kept = [json.loads(file.read_text()) for file in (data_dir() / "confirmed").iterdir()]
    assert {"run": str(run.path.resolve()), "contact": "https://host.example/v1"} in kept
    assert not any("secret" in str(record) for record in kept)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["llm.base_url=http://h/v1", "llm.provider=symbolic"], []),
        (["executor.kind=ray"], []),
        (["executor.kind=ray", "executor.address=auto"], []),
        (["executor.kind=ray", "executor.address=h:1"], ["h:1"]),
        (["executor.address=h:1"], []),
        (["tracking.to=mlflow", "tracking.uri=http://h:5000"], ["http://h:5000"]),
        (["tracking.uri=http://h:5000"], []),
        (["database=postgresql:///x?host=evil.example"], ["postgresql:///x?host=evil.example"]),
        (["llm.roles.analyst.base_url=http://h/v1", "llm.base_url=http://g/v1"], ["http://g/v1", "http://h/v1"]),
    ],
)
def test_what_settings_name_is_what_a_search_with_them_contacts(words, named):
    assert contacts(load_config(None, words)) == named


def test_a_data_directory_that_cannot_be_written_costs_a_question_and_not_the_run(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTOPRUNE_DATA", str(tmp_path / "file"))
    config = load_config(None, ["llm.base_url=http://h/v1"])
    run = RunDirectory.create(tmp_path / "run", config)
    check(run.path, contacts(config))
    monkeypatch.setattr("autoprune.runs.contacts._CONFIRMED", set())
    with pytest.raises(UsageError, match="--trust http://h/v1"):
        check(run.path, contacts(config))


class TestWithAServer:
    pytestmark = ON_POSTGRES

    def test_an_ordinary_run_in_a_database_needs_nothing_more(self, here, database, postgres, tmp_path, monkeypatch):
        monkeypatch.setenv("PGPASSWORD", postgres.password)
        run = RunDirectory.create(tmp_path / "run", Config.model_validate({"database": database}))
        done = here("approve", "run")
        assert (done.returncode, done.stdout) == (0, "no candidate is pending\n")
        assert done.stderr == f"run contacts {run.settings()[0].database.url}\n"
