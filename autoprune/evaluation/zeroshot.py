"""Zero-shot tasks through EleutherAI's lm-eval, unmodified (extra `zeroshot`): its tasks by name, or local files.

A local task is a YAML file in lm-eval's own format; with `dataset_path: json` and `data_files` it needs no hub. Such a
file may name Python functions, which lm-eval runs: use files that you trust.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoprune.downloads import hub_answers
from autoprune.errors import UsageError
from autoprune.models.target import Target

BATCH = 8


@dataclass(frozen=True)
class TaskResult:
    """One metric of one task, as lm-eval reports it; `samples` is how many items it was measured on."""

    task: str
    metric: str
    value: float
    stderr: float | None
    samples: int


def zero_shot(target: Target, tasks: Sequence[str], limit: int | None = None, shots: int = 0) -> list[TaskResult]:
    """Measure the model as it is now on lm-eval tasks: registered names, or paths of YAML files.

    `limit` takes that many items of each task only. Raises UsageError when lm-eval is not installed, when a task is
    unknown, or when its data cannot be had.
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
                task_manager=manager,  # else it reads its thousands of task files once more
                num_fewshot=shots,
                limit=limit,
                bootstrap_iters=0,
                log_samples=False,
            )
        except (OSError, ValueError, KeyError, DatasetsError) as error:
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise UsageError(f"the tasks {', '.join(tasks)} cannot be run ({reason})") from None
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
    """Keep lm-eval's log lines below errors off the terminal."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
