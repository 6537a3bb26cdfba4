"""`autoprune search` and `autoprune resume`."""

import errno
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from autoprune.cli.common import console, print_json, report_error
from autoprune.config import Config, load_config
from autoprune.errors import AutoPruneError, RunPaused, UsageError
from autoprune.report.live import LiveView
from autoprune.report.picture import Picture
from autoprune.report.tables import final_table
from autoprune.report.text import plain
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog, read_events

INTERRUPTED = 130
DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONFIG.yaml] [KEY=VALUE ...]", help="A file of settings, then single settings."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="A directory, a hub id, or smollm2-135m.")] = None,
    sparsity: Annotated[float | None, typer.Option(help="Share of weights to prune, above 0 and below 1.")] = None,
    llm: Annotated[str | None, typer.Option(help="auto, openai, local or symbolic.")] = None,
    sandbox: Annotated[str | None, typer.Option(help="auto, docker or local.")] = None,
    approval: Annotated[str | None, typer.Option(help="auto.")] = None,
    max_candidates: Annotated[int | None, typer.Option(help="Stop after so many candidates.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Stop after so many tokens of the chat model.")] = None,
    max_usd: Annotated[float | None, typer.Option(help="Stop after so many US dollars.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random choice.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Where the run goes; default runs/<time>-<model>.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the final rows as JSON.")] = False,
) -> None:
    """Search for a pruning algorithm: agents propose, criticise, run, measure and analyse candidates."""
    options = {
        "model": model,
        "sparsity": sparsity,
        "llm.provider": llm,
        "sandbox.engine": sandbox,
        "approval": approval,
        "search.max_candidates": max_candidates,
        "search.max_minutes": max_minutes,
        "search.max_tokens": max_tokens,
        "search.max_usd": max_usd,
        "seed": seed,
    }
    path, overrides = _split(words or [])
    overrides += [f"{key}={value}" for key, value in options.items() if value is not None]
    config = load_config(path, overrides)
    run = RunDirectory.create(run_dir, config)
    _work(run, config, as_json, fresh=True)


def resume(
    run: Annotated[Path, typer.Argument(help="A run's directory or name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the final rows as JSON.")] = False,
) -> None:
    """Continue a run that was interrupted, killed or paused; an ended one shows its table again."""
    directory = RunDirectory.open(run)
    config, _ = directory.settings()
    _work(directory, config, as_json, fresh=False)


def _work(run: RunDirectory, config: Config, as_json: bool, fresh: bool) -> None:
    from autoprune.agents.chat.choose import choose_llm
    from autoprune.agents.session import check_agents, finished, open_crew, work

    screen = console() if not as_json else _stderr()
    with run.locked():
        if fresh or not finished(run):
            events = EventLog(run.events_file)
            with LiveView(screen, config.search.max_candidates) as view, _stop_at_once(run, view):
                for event in read_events(run.events_file):
                    view.catch_up(event)
                events.listen(view.on_event)
                try:
                    if not fresh:
                        events.emit("run-resumed")
                    choice = choose_llm(config.llm, lambda line: events.emit("notice", text=line))
                    problem = check_agents(config.agents, choice)
                    if problem:
                        raise UsageError(problem)
                    config = config.model_copy(
                        update={"llm": config.llm.model_copy(update={"provider": choice.provider})}
                    )
                    with _disk_faults_explained(run), open_crew(run, config, choice, events) as crew:
                        work(crew)
                except RunPaused as paused:
                    view.stop()
                    report_error(paused)
                    screen.print(plain(f"autoprune resume {run.path}"), soft_wrap=True)
                    raise typer.Exit(paused.exit_code) from None
                finally:
                    events.close()
    picture = Picture.of(read_events(run.events_file))
    if as_json:
        print_json({"run": str(run.path), "rows": picture.rows, "conclusion": picture.conclusion})
    else:
        screen.print(plain(f"\nrun directory: {run.path}   trace: autoprune trace {run.path}\n"), soft_wrap=True)
        screen.print(final_table(picture))


@contextmanager
def _disk_faults_explained(run: RunDirectory) -> Iterator[None]:
    """One line when the run directory cannot be written any more; what was written stays and can be resumed."""
    from sqlalchemy.exc import DatabaseError

    try:
        yield
    except (OSError, sqlite3.Error, DatabaseError) as error:
        if isinstance(error, OSError) and error.errno not in DISK_FAULTS:
            raise
        reason = error.strerror if isinstance(error, OSError) else getattr(error, "orig", error)
        raise AutoPruneError(
            f"the run directory {run.path} cannot be written ({reason}); "
            f"make room, then go on with `autoprune resume {run.path}`"
        ) from None


@contextmanager
def _stop_at_once(run: RunDirectory, view: LiveView) -> Iterator[None]:
    """On Ctrl+C say how to go on and end at once: every finished step is on disk, helpers die with this process."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        view.stop()
        console().print(plain(f"\ninterrupted; go on with: autoprune resume {run.path}"), soft_wrap=True)
        os._exit(INTERRUPTED)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _split(words: list[str]) -> tuple[Path | None, list[str]]:
    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise UsageError(f"{files[1]!r} is not of the form key=value, and one file of settings was given already")
    return (Path(files[0]) if files else None), [word for word in words if "=" in word]


def _stderr() -> Any:
    from autoprune.cli.common import errors

    return errors()
