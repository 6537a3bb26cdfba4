"""Estimates a search's time and tokens before it starts: from earlier similar runs, else from stated assumptions."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autoprune.config import Config
from autoprune.errors import AutoPruneError
from autoprune.evaluation.confirmation import ALPHA, smallest_p
from autoprune.llm.usage import MOST_TOTAL
from autoprune.measuring.structured_workbench import published_methods
from autoprune.runs.directory import RunDirectory, list_runs
from autoprune.runs.events import read_events
from autoprune.runs.prices import prices

CALLS = {"small": 2, "strong": 1}
CALLS_PER_REVISION = 1
READ_PER_CALL = {"small": 1500, "strong": 8000}
"""Assumptions for a candidate by LLM. Calls: thought and code, which a strong model gives in one; a revision repeats
the code. Each has a review more, unless the critic has rules only. READ_PER_CALL: tokens of a prompt."""

UNPAID = {"symbolic": "no tokens", "replay": "no calls, since replies are recorded"}
"""Providers that call no model -> the note on their tokens."""

UNPLANNED = "tuning and polishing"
"""What a plan of measurements does not include."""

Price = Callable[[str, int, int], float | None]


@dataclass(frozen=True)
class Rate:
    """Time and tokens of a finished run per candidate."""

    seconds: float
    tokens: float


class Ended(BaseModel):
    """Totals of a finished run."""

    model_config = ConfigDict(strict=True)

    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    tokens: Annotated[int, Field(ge=0, le=MOST_TOTAL)]
    candidates: Annotated[int, Field(gt=0, le=MOST_TOTAL)]


def estimate(
    config: Config,
    llm: str,
    run: RunDirectory,
    model: str = "",
    price: Price | None = None,
    plan: Callable[[], float | str] = lambda: "nothing was measured",
) -> str:
    """The estimate in one line. `llm`: the provider; `model`: the proposer's; `price`: USD for (model, in, out).

    `plan`: called where no earlier run tells the time; gives the seconds of the measurements, or why they are unknown.
    """
    candidates = config.search.max_candidates
    head = f"estimate for {candidates} candidates: "
    rates = list(_rates(llm, run))
    if rates:
        seconds, tokens = (sum(getattr(rate, name) for rate in rates) / len(rates) for name in ("seconds", "tokens"))
        like = f"{len(rates)} earlier run{'s' * (len(rates) > 1)} with these settings in {run.path.parent}"
        used = f" and {candidates * tokens:,.0f} tokens" if llm not in UNPAID else ""
        return f"{head}about {_minutes(candidates * seconds)}{used} (by {like}: {seconds:.0f} s a candidate)"
    planned = plan()
    if isinstance(planned, str):
        time = f"minutes unknown (no ended run with these settings in {run.path.parent}; {planned})"
    else:
        without = UNPLANNED if llm in UNPAID else f"the chat model, {UNPLANNED}"
        time = f"about {_minutes(planned)} on this machine (by a probe, without {without})"
    return f"{head}{UNPAID[llm]}; {time}" if llm in UNPAID else f"{head}{_assumed(config, model, price)}; {time}"


def too_few_windows(config: Config) -> str:
    """A warning where no verdict of the confirmation can be significant, whatever is found; else empty.

    Counted are the comparisons of the finalists with the unrefined baselines at the run's own sparsity, of which there
    are at least so many.
    """
    settings, windows = config.baselines, config.data.report_windows
    kinds = config.search.kinds
    methods = len(published_methods(kinds)) if kinds else len(settings.scores) * len(settings.allocations)
    fewest = config.confirmation.finalists * methods

    def can_show(count: int) -> bool:
        return smallest_p(count) * fewest <= ALPHA

    if can_show(windows):
        return ""
    enough = next((count for count in range(windows + 1, 101) if can_show(count)), None)
    advice = f"take at least {enough}" if enough else "compare with fewer baselines"
    return (
        f"data.report_windows={windows} cannot show any difference: with so few windows p is at least "
        f"{smallest_p(windows):.2g}, and is corrected for {fewest} comparisons or more; {advice}"
    )


def _assumed(config: Config, model: str, price: Price | None) -> str:
    profile = "strong" if config.llm.profile == "strong" else "small"
    reviewed = config.agents.critic != "rules"
    calls, read = CALLS[profile] + reviewed, READ_PER_CALL[profile]
    by_llm = math.ceil(config.search.max_candidates * (1 - config.agents.symbolic_share))
    most = calls + (CALLS_PER_REVISION + reviewed) * config.advanced.revisions
    written = config.llm.for_role("proposer").reply_tokens
    low, high = by_llm * calls * read, by_llm * most * (read + written)
    usd = price(model, by_llm * most * read, by_llm * most * written) if price else None
    dated = f"at most {usd or 0:.2f} USD by the prices of {prices().as_of}"
    cost = "at an unknown price" if usd is None else "which cost nothing" if usd == 0 else dated
    return (
        f"{low:,} to {high:,} tokens, {cost} (assuming {calls} to {most} calls for each of {by_llm} candidates by LLM, "
        f"{read:,} tokens read and up to {written:,} written a call)"
    )


def _rates(llm: str, run: RunDirectory) -> Iterator[Rate]:
    """Rates of the finished runs in the same folder with the same target, data, agents and chat model."""
    for other in list_runs(run.path.parent):
        try:
            if _alike(other.settings()[0], run.settings()[0]):
                events = {event.kind: event.data for event in read_events(other.events_file)}
                ended, engine = events.get("run-ended", {}), events.get("run-started", {}).get("llm")
                if engine == llm and ended:
                    facts = Ended.model_validate(ended)
                    yield Rate(facts.seconds / facts.candidates, facts.tokens / facts.candidates)
        except (AutoPruneError, ValidationError):
            continue  # a run that cannot be read, or with impossible totals


def _alike(one: Config, other: Config) -> bool:
    agents = {"revisions", "veto", "symbolic_first"}
    kind = {"league", "structure", "compensate"}
    keys: dict[str, Any] = {"model": True, "data": True, "agents": True, "llm": True}
    keys |= {"advanced": agents, "search": kind}
    stored = [config.model_dump(mode="json", include=keys) for config in (one, other)]
    for settings in stored:
        settings["llm"]["provider"] = "auto"
    return stored[0] == stored[1]


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes >= 2 else f"{seconds:.0f} seconds"
