"""Zero-shot tasks by EleutherAI's lm-eval (extra `zeroshot`): registered tasks, or local files.

A local task is a YAML file in lm-eval's format; with `dataset_path: json` and `data_files` it needs no hub. It can name
Python functions that lm-eval runs, so use trusted files only.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoprune.downloads import hub_answers
from autoprune.errors import UsageError, first_line
from autoprune.models.target import Target

BATCH = 8


@dataclass(frozen=True)
class TaskResult:
    """One metric of one task; `samples` is the number of evaluated items."""

    task: str
    metric: str
    value: float
    stderr: float | None
    samples: int


def zero_shot(target: Target, tasks: Sequence[str], limit: int | None = None, shots: int = 0) -> list[TaskResult]:
    """Evaluate the model in its present state on lm-eval tasks: registered names, or paths of YAML files.

    `limit`: number of items per task. Raises UsageError if lm-eval is not installed, a task is unknown, or its data is
    unavailable.
    """
    try:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise UsageError(
            f"zero-shot tasks need lm-eval ({error}); install it with `pip install autoprune[zeroshot]`"
        ) from None
    from datasets.exceptions import DatasetsError

    hub_answers()
    files = [task for task in tasks if task.endswith((".yaml", ".yml"))]
    for file in files:
        if not Path(file).is_file():
            raise UsageError(f"there is no task file {file}")
    with _quiet():
        manager = TaskManager(include_defaults=len(files) < len(tasks))
        unknown = [task for task in tasks if task not in files and task not in manager.all_tasks]
        if unknown:
            raise UsageError(f"lm-eval knows no task {unknown[0]!r}; `lm-eval ls tasks` lists them")
        try:
            loaded = list(manager.load(list(tasks))["tasks"].values())
            answer: Any = simple_evaluate(
                model=HFLM(pretrained=target.model, tokenizer=target.tokenizer, batch_size=BATCH),
                tasks=loaded,
                task_manager=manager,  # else thousands of task files are read again
                num_fewshot=shots,
                limit=limit,
                bootstrap_iters=0,
                log_samples=False,
            )
        except (OSError, ValueError, KeyError, DatasetsError) as error:
            raise UsageError(f"the tasks {', '.join(tasks)} cannot be run ({first_line(error)})") from None
    return [result for task, row in answer["results"].items() for result in _rows(task, row, answer)]


def _rows(task: str, row: dict[str, Any], answer: dict[str, Any]) -> Iterator[TaskResult]:
    """lm-eval keys are "metric,filter" and "metric_stderr,filter"."""
    for key, value in row.items():
        metric, _, rule = key.partition(",")
        if not rule or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        stderr = row.get(f"{metric}_stderr,{rule}")
        samples = answer["n-samples"].get(task, {}).get("effective", 0)
        name = metric if rule == "none" else f"{metric} ({rule})"
        yield TaskResult(task, name, float(value), stderr if isinstance(stderr, float) else None, samples)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within this context, lm-eval logs only errors."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
