"""Standard streams that are closed or full: one line where it can be printed, and the exit code in any case."""

import subprocess

import pytest


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("runs . >&-", 1),
        ("runs . >/dev/full", 1),
        ("--help >/dev/full", 1),
        ("runs . 2>&-", 0),
        ("runs . <&-", 0),
        ("trace nowhere 2>/dev/full", 2),
        ("trace nowhere 2>&-", 2),
        ("trace nowhere <&- >&- 2>&-", 2),
    ],
)
def test_a_stream_that_takes_nothing_changes_no_exit_code(environment, command, tmp_path, shell, code):
    words = ["sh", "-c", f'exec "$0" -m autoprune {shell}', command[0]]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
