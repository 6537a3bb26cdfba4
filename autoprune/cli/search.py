"""`autoprune search` and `autoprune resume`."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console

from autoprune.api.replay import as_recorded
from autoprune.api.result import SearchResult
from autoprune.api.run_data import REPORT, look_over, write_report
from autoprune.api.starting import Wait, check_second_model, check_share, gone_unless_begun, work_until_ended
from autoprune.api.tracking import tracked
from autoprune.cli import complete
from autoprune.cli.common import console, errors, print_json, report_error, say
from autoprune.cli.contacts import Trust, announce, open_run
from autoprune.cli.guards import attended, stop_at_once
from autoprune.cli.options import DATABASE, MODEL, SANDBOXES, Run, overrides, typed
from autoprune.cli.parse import listed, split
from autoprune.cli.structured import Compensate, Structure
from autoprune.config import Config, change_config, load_config
from autoprune.config_values import Approval, ExecutorKind, Provider
from autoprune.errors import AutoPruneError, RunPaused
from autoprune.log import log_to
from autoprune.models.gguf_files import KNOWN
from autoprune.report.live import LiveView
from autoprune.report.picture import Picture
from autoprune.report.tables import final_table
from autoprune.report.text import plain
from autoprune.runs.contacts import confirm_named
from autoprune.runs.directory import RunDirectory
from autoprune.runs.events import EventLog, read_events

if TYPE_CHECKING:
    from autoprune.search.context import SearchContext

PROVIDERS: tuple[str, ...] = get_args(Provider)
APPROVALS: tuple[str, ...] = get_args(Approval)
EXECUTORS: tuple[str, ...] = get_args(ExecutorKind)
Executor = Annotated[str | None, complete.option(f"Where candidates are measured: {listed(EXECUTORS)}.", *EXECUTORS)]
Workers = Annotated[int | None, typer.Option(help="Parallel candidates, with processes and ray.")]
Address = Annotated[str | None, typer.Option(help="With --executor ray: HOST:PORT of the cluster, auto or local.")]
Policy = Annotated[Path | None, typer.Option(help="With --approval file: a YAML file of rules.")]


def search(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG.yaml] [KEY=VALUE ...]",
            help="A settings file, then single settings.",
            autocompletion=complete.assignments,
        ),
    ] = None,
    model: Annotated[str | None, complete.option(MODEL, *KNOWN)] = None,
    sparsity: Annotated[float | None, typer.Option(help="Share of weights to prune, above 0 and below 1.")] = None,
    structure: Structure = None,
    params: Annotated[
        float | None, typer.Option(help="With --structure: share of the decoder blocks' parameters to remove; 0.2.")
    ] = None,
    compensate: Compensate = None,
    llm: Annotated[
        str | None,
        complete.option(
            f"Chat model of the agents: {listed(PROVIDERS)}; self: the target, replay: a recording.", *PROVIDERS
        ),
    ] = None,
    sandbox: Annotated[str | None, complete.option(f"Sandbox of candidates: {listed(SANDBOXES)}.", *SANDBOXES)] = None,
    executor: Executor = None,
    workers: Workers = None,
    address: Address = None,
    approval: Annotated[
        str | None, complete.option(f"Approval of candidates: {listed(APPROVALS)}.", *APPROVALS)
    ] = None,
    approval_policy: Policy = None,
    max_candidates: Annotated[int | None, typer.Option(help="Maximum number of candidates.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Maximum time in minutes.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Maximum number of chat model tokens.")] = None,
    max_usd: Annotated[float | None, typer.Option(help="Maximum cost in US dollars.")] = None,
    transfer_model: Annotated[str | None, typer.Option(help="Second model for the confirmation; as --model.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    database: Annotated[str | None, typer.Option(metavar="URL", help=DATABASE)] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Run directory; default: runs/<time>-<model>.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the final rows as JSON.")] = False,
) -> None:
    """Search for a pruning algorithm: agents propose, review, measure and analyse candidates."""
    path, settings = split(words or [])
    settings += overrides(context.params)
    with log_to(say):
        config = as_recorded(load_config(path, settings, typed=typed(context.params)), path, settings)
        check_second_model(config)
        check_share(config, sparsity, params)
    run = RunDirectory.create(run_dir, config)
    work_on(run, config, as_json, fresh=True)


def resume(
    context: typer.Context,
    run: Run,
    approval: Annotated[
        str | None, complete.option(f"Approval of further candidates: {listed(APPROVALS)}.", *APPROVALS)
    ] = None,
    approval_policy: Policy = None,
    executor: Executor = None,
    workers: Workers = None,
    address: Address = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The run's PostgreSQL database, with its password or on a new host."),
    ] = None,
    trust: Trust = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the final rows as JSON.")] = False,
) -> None:
    """Continue a run that was interrupted, killed or paused; print the table of one that has ended."""
    directory = open_run(run, trust)
    config, _ = directory.settings()
    settings = overrides(context.params)
    config = change_config(config, settings, typed(context.params))
    confirm_named(directory.path, directory.settings()[0], settings)
    from autoprune.search.session import finished

    ended = finished(directory)
    if not ended:
        directory.check_continuable()
    announce(directory, config, database_alone=ended)
    look_over(directory, config)
    work_on(directory, config, as_json, fresh=False, switched=approval is not None)


def work_on(run: RunDirectory, config: Config, as_json: bool, fresh: bool, switched: bool = False) -> None:
    """Start or continue a run's search with a live view, handle Ctrl+C, and print the final table."""
    from autoprune.search.session import finished

    screen = errors() if as_json else console()
    try:
        with run.locked(), gone_unless_begun(run, config, fresh) as begin:
            if fresh or not finished(run):
                _searched(run, config, screen, begin, fresh, switched)
    except RunPaused as paused:
        report_error(paused)
        screen.print(plain(f"autoprune resume {run.path}"), soft_wrap=True)
        raise typer.Exit(paused.exit_code) from None
    picture = Picture.of(read_events(run.events_file))
    if as_json:
        print_json(vars(SearchResult.of(run, picture)))
    else:
        report = f"   report: {run.path / REPORT}" if (run.path / REPORT).is_file() else ""
        line = f"\nrun directory: {run.path}   trace: autoprune trace {run.path}{report}\n"
        screen.print(plain(line), soft_wrap=True)
        screen.print(final_table(picture))


def _searched(
    run: RunDirectory, config: Config, screen: Console, begin: Callable[[], None], fresh: bool, switched: bool
) -> None:
    """Work on the search until it has ended, with a live view, and write the report."""
    from autoprune.runs.approvals import Switch

    with LiveView(screen, config.search) as view, stop_at_once(run, view):

        @contextmanager
        def answering(config: Config, context: "SearchContext") -> Iterator[Wait | None]:
            if switched:
                from autoprune.api.decisions import person

                context.archive.approvals.switch(Switch(approval=config.approval, who=person()))
            with attended(run, config, view, screen) as wait:
                yield wait

        for event in read_events(run.events_file):
            view.catch_up(event)
        with closing(EventLog(run.events_file)) as events:
            events.listen(view.on_event)
            with tracked(run, config, events, fresh):
                config = work_until_ended(run, config, events, begin, answering, fresh)
                _write_report(run, config)


def _write_report(run: RunDirectory, config: Config) -> None:
    """Write the report; an error is printed, since the search itself has succeeded."""
    try:
        write_report(run, config=config)
    except AutoPruneError as error:
        report_error(error)
