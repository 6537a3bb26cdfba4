"""Checkpoints are data: what names code is refused in one line, whoever put it there, in either kind of database."""

import json
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path

import ormsgpack
import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Interrupt, Send

from autoprune.config import Config
from autoprune.errors import UsageError
from autoprune.runs.directory import RunDirectory
from autoprune.search.checkpoint_values import PlainValues
from autoprune.search.checkpoints import THREAD, open_checkpoints
from autoprune.search.fork import fork_run, state_after
from autoprune.search.session import last_state
from autoprune.search.state_machine import search_graph
from tests.postgres_server import ENGINES

PLAN = {"slot": "g1.c1", "generation": 1, "operator": "explore", "engine": "symbolic", "parents": ["seed.wanda"]}
STORED = [
    None,
    b"bytes",
    {"generation": 1, "plans": [PLAN], "ended": 0, 3: None},
    Send("candidate", {"plan": PLAN, "revision": 0, "comments": []}),
    Interrupt({"slot": "g1.c1", "candidate": "abc"}, id="one"),
    [Interrupt({"slot": "g1.c1", "candidate": "abc"}, id="one"), {"two": "\ud800"}],
]


def ext(code: int, *described: object) -> bytes:
    return ormsgpack.packb([1, {"deep": [ormsgpack.Ext(code, ormsgpack.packb(described))]}])


def nested(depth: int) -> bytes:
    inner = ormsgpack.packb("end")
    for _ in range(depth):
        inner = ormsgpack.packb(ormsgpack.Ext(1, inner))
    return inner


class Calls:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, ...]:
        return eval, (self.command,)


@pytest.fixture
def planted(tmp_path: Path) -> dict[str, tuple[str, bytes]]:
    """Values that would leave the file `ran` if what they name were called."""
    mark = f"open({str(tmp_path / 'ran')!r}, 'w')"
    constructor = {"lc": 2, "type": "constructor", "id": ["builtins", "eval"], "args": [mark], "kwargs": {}}
    core = {"lc": 1, "type": "constructor", "id": ["langchain_core", "prompts", "PromptTemplate"], "kwargs": {}}
    return {
        "one argument": ("msgpack", ext(0, "builtins", "eval", mark)),
        "arguments": ("msgpack", ext(1, "builtins", "eval", [mark])),
        "arguments by name": ("msgpack", ext(2, "subprocess", "run", {"args": ["touch", str(tmp_path / "ran")]})),
        "a method": ("msgpack", ext(3, "pathlib", "Path", str(tmp_path / "ran"), "touch")),
        "a pydantic model of v1": ("msgpack", ext(4, "subprocess", "run", {"args": ["touch", str(tmp_path / "ran")]})),
        "a pydantic model of v2": ("msgpack", ext(5, "subprocess", "run", {"args": ["touch", str(tmp_path / "ran")]})),
        "an array": ("msgpack", ext(6, "<f4", [1], "C", b"1234")),
        "another task": ("msgpack", ext(1, "langgraph.types", "Send", ["confirm", {}])),
        "a task that is none": ("msgpack", ext(1, "langgraph.types", "Send", ["candidate", {"plan": "x"}])),
        "another function of that module": ("msgpack", ext(1, "langgraph.types", "interrupt", ["x"])),
        "pickle": ("pickle", pickle.dumps(Calls(mark))),
        "a constructor in JSON": ("json", json.dumps(constructor).encode()),
        "a class of LangChain in JSON": ("json", json.dumps(core).encode()),
        "very deep": ("msgpack", nested(3000)),
        "no msgpack": ("msgpack", b"\xc1"),
        "a kind that is none": ("eval", mark.encode()),
    }


NAMES = (
    *("one argument", "arguments", "arguments by name", "a method", "a pydantic model of v1", "a pydantic model of v2"),
    *("an array", "another task", "a task that is none", "another function of that module", "pickle"),
    *("a constructor in JSON", "a class of LangChain in JSON", "very deep", "no msgpack", "a kind that is none"),
)


@pytest.mark.parametrize("value", STORED, ids=lambda value: type(value).__name__)
def test_what_is_stored_comes_back_also_if_an_older_version_stored_it(value):
    own = PlainValues("runs/x")
    assert own.loads_typed(own.dumps_typed(value)) == own.loads_typed(JsonPlusSerializer().dumps_typed(value))


@pytest.mark.parametrize(
    "value",
    [Path("x"), {1}, RunDirectory(Path("x")), sqlite3.Row],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_what_could_not_be_read_again_is_not_stored(value):
    with pytest.raises(TypeError):
        PlainValues("runs/x").dumps_typed({"value": value})


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_names_code_is_one_line_and_nothing_is_called(planted, tmp_path, name):
    assert set(NAMES) == set(planted)
    with pytest.raises(UsageError, match=r"^the checkpoints of runs/x hold .* which autoprune never stores") as raised:
        PlainValues("runs/x").loads_typed(planted[name])
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "ran").exists()


@pytest.fixture(params=ENGINES)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> RunDirectory:
    """A run that stands before its first generation."""
    settings = {} if request.param == "sqlite" else {"database": request.getfixturevalue("database")}
    run = RunDirectory.create(tmp_path / "run", Config.model_validate(settings))
    with open_checkpoints(run) as checkpoints:
        search_graph(checkpoints).update_state(THREAD, {"generation": 0, "plans": [], "ended": 0}, as_node="prepare")
    return run


def plant(run: RunDirectory, column: str, kind: str, value: bytes) -> None:
    """Put a value in the place of what is stored: of a checkpoint, of a channel, or of a write that is pending."""
    schema = run.schema()
    if schema is None:
        with closing(sqlite3.connect(run.checkpoints_file)) as file, file:
            if column == "checkpoint":
                file.execute("UPDATE checkpoints SET type = ?, checkpoint = ?", (kind, value))
            else:
                file.execute(
                    "INSERT INTO writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, value) "
                    "SELECT thread_id, checkpoint_ns, checkpoint_id, 'task', 0, 'plans', ?, ? "
                    "FROM checkpoints",
                    (kind, value),
                )
        return
    with closing(schema.connect(autocommit=True)) as connection:
        if column == "checkpoint":
            connection.execute("UPDATE checkpoint_blobs SET type = %s, blob = %s", (kind, value))
        else:
            connection.execute(
                "INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, "
                "blob) SELECT thread_id, checkpoint_ns, checkpoint_id, 'task', 0, 'plans', %s, %s FROM checkpoints",
                (kind, value),
            )


def test_an_honest_run_is_read(run):
    assert state_after(run, run.settings()[0], None)["generation"] == 0


@pytest.mark.parametrize("column", ["checkpoint", "write"])
@pytest.mark.parametrize("name", ["arguments", "a method", "pickle", "a constructor in JSON"])
def test_a_run_with_planted_checkpoints_is_one_line_that_names_it(run, planted, tmp_path, column, name):
    plant(run, column, *planted[name])
    config = run.settings()[0].model_copy(update={"database": None})
    with pytest.raises(UsageError, match=f"the checkpoints of {run.path} hold"):
        state_after(run, run.settings()[0], None)
    with pytest.raises(UsageError, match=f"the checkpoints of {run.path} hold"):
        fork_run(run, None, config if run.schema() is None else run.settings()[0], tmp_path / "fork")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "fork").exists()


@pytest.mark.parametrize("state", [{"generation": "x"}, {"ended": {}, "generation": 0}, {"plans": 3}, {"plans": [1]}])
def test_a_state_that_is_none_is_one_line(tmp_path, state):
    run = RunDirectory.create(tmp_path / "run", Config())
    with open_checkpoints(run) as checkpoints:
        search_graph(checkpoints).update_state(THREAD, {"generation": 0, "plans": [], "ended": 0}, as_node="prepare")
    with closing(sqlite3.connect(run.checkpoints_file)) as file, file:
        (stored,) = file.execute("SELECT checkpoint FROM checkpoints").fetchone()
        checkpoint = ormsgpack.unpackb(stored)
        checkpoint["channel_values"] |= state
        file.execute("UPDATE checkpoints SET checkpoint = ?", (ormsgpack.packb(checkpoint),))
    with pytest.raises(UsageError, match="hold no state of a search"):
        state_after(run, run.settings()[0], None)


@pytest.mark.parametrize("metadata", [b"{", b"[" * 5000, b"3"])
def test_metadata_that_are_none_are_one_line(run, metadata):
    if run.schema() is not None:
        pytest.skip("PostgreSQL itself takes nothing but JSON there")
    with closing(sqlite3.connect(run.checkpoints_file)) as file, file:
        file.execute("UPDATE checkpoints SET metadata = ?", (metadata,))
    with pytest.raises(UsageError, match=r"the checkpoints of .* cannot be read"):
        state_after(run, run.settings()[0], None)


@pytest.mark.parametrize("metadata", [None, b"{}", b'{"step": null}'])
def test_a_checkpoint_of_no_step_is_one_line(tmp_path, metadata):
    run = RunDirectory.create(tmp_path / "run", Config())
    with open_checkpoints(run) as checkpoints:
        graph = search_graph(checkpoints)
        graph.update_state(THREAD, {"generation": 0, "plans": [], "ended": 0}, as_node="prepare")
        with closing(sqlite3.connect(run.checkpoints_file)) as file, file:
            file.execute("UPDATE checkpoints SET metadata = ?", (metadata,))
        with pytest.raises(UsageError, match=r"of no step|cannot be read"):
            last_state(graph, run)
