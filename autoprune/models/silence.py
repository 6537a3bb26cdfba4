"""Hiding the progress bars and log lines of transformers, while reporting its progress."""

import logging as python_logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def silence_transformers(advance: Callable[[int], None] = lambda count: None) -> Iterator[None]:
    """Within this context, transformers shows no progress bars and logs only errors. `advance(1)` is called at every
    step of a progress bar."""
    from transformers import modeling_gguf_pytorch_utils as gguf
    from transformers.utils import logging

    def hook(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _counted(args[0], advance) if args else factory(*args, **kwargs)

    accelerate = python_logging.getLogger("accelerate")  # which logs when it spreads a model over devices
    level = accelerate.level
    accelerate.setLevel(python_logging.ERROR)
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    before, converting = logging.set_tqdm_hook(hook), gguf.tqdm
    gguf.tqdm = logging.tqdm  # its own import of tqdm does not support the hook
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        accelerate.setLevel(level)
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        logging.set_tqdm_hook(before)
        gguf.tqdm = converting


def _counted(items: Iterable[Any], advance: Callable[[int], None]) -> Iterator[Any]:
    for item in items:
        yield item
        advance(1)
