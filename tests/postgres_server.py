"""A real PostgreSQL server on a free port, in a folder of its own, both gone afterwards."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from autoprune.sandbox.inside.jail import die_with_parent

USER = "ann"
NAME = "autoprune"
PATIENCE = 120
"""Seconds that the server may need to start on a machine that is busy with other things."""
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=40")
ON_POSTGRES = [pytest.mark.postgres, pytest.mark.xdist_group("postgres")]
"""The marks of a test that needs the server: one worker starts it for all of them."""
ENGINES = ["sqlite", pytest.param("postgres", marks=ON_POSTGRES)]
"""For tests that hold on either."""


def binaries() -> Path | None:
    """The folder of the server's programs: on the path, or the newest of Debian's; None where there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return debian[-1].parent if debian else None


@contextmanager
def postgres_server() -> Iterator["PostgresServer"]:
    """A server that runs and has a database."""
    server = PostgresServer()
    try:
        server.make()
        server.start()
        server.execute(f"CREATE DATABASE {NAME}", database="postgres")
        yield server
    finally:
        server.remove()


class PostgresServer:
    """It wants USER's password, does not run as root, which it would refuse, and does not outlive the tests."""

    password = "a secret/of @nn"
    quoted = "a%20secret%2Fof%20%40nn"
    """The same as in a URL."""

    def __init__(self) -> None:
        self._bin = binaries()
        self._home = Path(tempfile.mkdtemp(prefix="autoprune-postgres-"))
        self._as: dict[str, object] = {"env": {"PATH": os.defpath, "LC_ALL": "C"}, "cwd": self._home}
        if os.getuid() == 0:
            owner = _unprivileged()
            os.chown(self._home, owner.pw_uid, owner.pw_gid)
            self._as |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, name: str = NAME, password: str = "") -> str:
        """The address of a database; `password` as it is written in a URL."""
        return f"postgresql://{USER}{password and ':'}{password}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Returns when it answers."""
        words = ["-D", "data", "-k", str(self._home), "-h", "127.0.0.1", "-p", str(self.port)]
        settings = [word for setting in FAST for word in ("-c", setting)]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", *words, *settings],
                stderr=log,
                preexec_fn=partial(die_with_parent, os.getpid()),
                **self._as,
            )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < end, (self._home / "log").read_text()
            assert self._process.poll() is None, (self._home / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Without waiting for those who are connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE)

    def make(self) -> None:
        """Files of an empty server, which is not running."""
        (self._home / "password").write_text(self.password)
        os.chmod(self._home / "password", 0o644)
        how = ("--auth", "scram-sha-256", "--pwfile", "password", "--encoding", "UTF8", "--locale", "C", "--no-sync")
        made = subprocess.run(
            [self._bin / "initdb", "-D", "data", "-U", USER, *how], capture_output=True, text=True, **self._as
        )
        assert made.returncode == 0, made.stderr

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._home)

    def execute(self, statement: str, database: str = NAME) -> list[tuple[object, ...]]:
        """What a statement gives, if anything."""
        with psycopg.connect(self.url(database, self.quoted), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1", database="postgres")
        except psycopg.OperationalError:
            return False
        return True


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("no user to run the server as")
