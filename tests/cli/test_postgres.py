"""`--database`: the commands on a run in a real PostgreSQL server, and what is said when it cannot be used."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from autoprune.cli.common import report_error
from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.runs.directory import RunDirectory
from autoprune.search.checkpoints import open_checkpoints
from tests.cli.test_search import wait_for_events
from tests.postgres_server import ON_POSTGRES

pytestmark = ON_POSTGRES
SECRET = "hunter2"


@pytest.fixture
def full_url(postgres):
    return postgres.url(password=postgres.quoted)


def test_a_run_is_searched_approved_from_another_process_resumed_and_read(
    autoprune, here, small, postgres, full_url, tmp_path, monkeypatch
):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    words = ("--run-dir", "r", "--approval", "human", "search.max_candidates=2", "advanced.layer_error=null")
    said = [here("search", *small, *words, "--database", full_url)]
    assert said[-1].returncode == 3, said[-1].stderr
    said.append(autoprune("approve", "r", "--json", PGPASSWORD=postgres.password))
    assert {each["slot"] for each in json.loads(said[-1].stdout)} == {"g1.c1", "g1.c2"}
    said.append(autoprune("approve", "r", "--rest", PGPASSWORD=postgres.password))
    said.append(here("resume", "r", "--database", full_url, "--json"))
    assert said[-1].returncode == 0, said[-1].stderr
    assert sum(row["kind"] == "candidate" for row in json.loads(said[-1].stdout)["rows"]) > 0
    said.append(here("runs", "."))
    assert said[-1].returncode == 0
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    for command in (
        ("trace", "r"),
        ("trace", "r", "best"),
        ("trace", "r", "--map", "--json"),
        ("report", "r"),
        ("export-algorithm", "r:best", "--out", "best.py"),
    ):
        said.append(here(*command))
        assert said[-1].returncode == 0, said[-1].stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if path.suffix == ".sqlite" and path.parent.name == "r"]
    for text in [done.stdout + done.stderr for done in said] + [path.read_text("utf-8", "replace") for path in files]:
        assert postgres.password not in text
        assert postgres.quoted not in text


def test_a_connection_that_breaks_is_one_line_and_loses_nothing(here, small, postgres, full_url, tmp_path):
    def break_all():
        wait_for_events(tmp_path / "r" / "events.jsonl", 12, seconds=600)
        postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'autoprune'")

    with ThreadPoolExecutor(1) as pool:
        broken = pool.submit(break_all)
        done = here("search", *small, "--run-dir", "r", "--database", full_url, "search.max_candidates=4")
        broken.result()
    told = [line for line in done.stderr.splitlines() if line.startswith("autoprune:")]
    assert (done.returncode, len(told)) == (1, 1), done.stderr
    assert f"the database {postgres.url()} cannot be written" in told[0]
    assert "continue with `autoprune resume r`" in told[0]
    assert here("resume", "r", "--database", full_url).returncode == 0


def refused(done, tmp_path):
    """The one line that was said; no run was made."""
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert SECRET not in done.stderr
    assert not list(tmp_path.rglob("config.yaml"))
    return done.stderr


@pytest.mark.parametrize(
    ("user", "name", "complaint"),
    [
        (f"ann:{SECRET}", "autoprune", 'password authentication failed for user "ann"; it is taken from the URL'),
        ("ann", "autoprune", "no password supplied; it is taken from the URL, PGPASSWORD or ~/.pgpass"),
        ("ann:RIGHT", "nowhere", 'database "nowhere" does not exist; make it with createdb'),
        ("eve:RIGHT", "autoprune", "permission denied for database autoprune; its owner may GRANT CREATE"),
    ],
)
def test_a_database_that_does_not_let_us_in_is_one_line(here, postgres, tmp_path, monkeypatch, user, name, complaint):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    if user.startswith("eve"):
        postgres.execute("DROP ROLE IF EXISTS eve")
        postgres.execute(f"CREATE ROLE eve LOGIN PASSWORD '{postgres.password}'")
    place = postgres.url(name).partition("@")[2]
    url = f"postgresql://{user.replace('RIGHT', postgres.quoted)}@{place}"
    said = refused(here("search", "--database", url), tmp_path)
    assert complaint in said
    assert f"cannot use the database postgresql://{user.partition(':')[0]}@{place}: " in said


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--database", f"postgresql://ann:{SECRET}@127.0.0.1:9/x"], "Connection refused"),
        (["--database", f"postgresql://ann:{SECRET}@127.0.0.1:9/x?colour=red"], "colour"),
        (["--database", f"mysql://ann:{SECRET}@host/x"], "a database is a url like postgresql://user@host/name"),
        (["--database", f"postgresql://ann:{SECRET}"], "a database is a url like postgresql://user@host/name"),
        ([f"database=postgresql://ann@host/x?password={SECRET}"], "a password is written in front of the @"),
        ([f"postgresql://ann:{SECRET}@host/x"], "cannot read the configuration"),
        ([f"datebase=postgresql://ann:{SECRET}@host/x"], "unknown setting 'datebase'"),
        ([f"sparsity=postgresql://ann:{SECRET}@host/x"], "sparsity = 'postgresql://ann:***@host/x'"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_line_without_its_password(here, tmp_path, words, complaint):
    assert complaint in refused(here("search", *words), tmp_path)


def test_without_the_extra_the_line_says_how_to_get_it(here, postgres, database, tmp_path, monkeypatch):
    run = RunDirectory.create(tmp_path / "run", Config.model_validate({"database": database}))
    for module in ("langgraph.checkpoint.postgres", "psycopg"):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(UsageError, match="needs the extra postgres"), open_checkpoints(run):
            pass
    done = here("search", "--database", postgres.url(), "--run-dir", "other")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "autoprune: a run on PostgreSQL needs the extra postgres: pip install 'autoprune[postgres]'\n"


def test_a_run_stays_where_it_is(here, postgres, database, tmp_path):
    RunDirectory.create(tmp_path / "files", Config.model_validate({"llm": {"provider": "symbolic"}}))
    done = here("resume", "files", "--database", database)
    assert (done.returncode, "is in SQLite files and cannot be moved" in done.stderr) == (2, True), done.stderr
    run = RunDirectory.create(tmp_path / "run", Config.model_validate({"database": database}))
    postgres.execute(f"DROP SCHEMA {run.schema().name} CASCADE")
    done = here("trace", "run")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 2)
    assert done.stderr.startswith("run contacts ")
    assert f"the database {database} has no schema {run.schema().name}, which this run wrote to" in done.stderr


@pytest.mark.parametrize(
    "line", ["postgresql://a:{}@h/x", "postgresql:/a:{}@h/x", "postgres://:{}@/x", "postgresql://h/x?password={}"]
)
@pytest.mark.parametrize("secret", ["hunter2", "a:b@c", "%40?&"])
def test_no_error_shows_the_password_of_a_url(capsys, line, secret):
    if "&" in secret and "password=" in line:
        secret = secret.replace("&", "")
    report_error(UsageError(f"cannot read {line.format(secret)} today"))
    said = capsys.readouterr().err
    assert secret not in said
    assert said == f"autoprune: cannot read {line.format('***')} today\n"
