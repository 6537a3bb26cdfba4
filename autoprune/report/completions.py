"""Completions of built-in prompts by several models, one below the other."""

from collections.abc import Iterator, Sequence


def completion_lines(prompt: str, texts: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The prompt, and a line for each (name of a model, its completion)."""
    width = max(len(name) for name, _ in texts)
    yield f"prompt  {_one_line(prompt)}"
    for name, text in texts:
        yield f"  {name:<{width}}  {_one_line(text)}"


def lines_of_rows(prompts: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """The same for every prompt. `rows`: (name of a model, its completions of the first prompts)."""
    count = min((len(texts) for _, texts in rows), default=0)
    for index, prompt in enumerate(prompts[:count]):
        yield from completion_lines(prompt, [(name, texts[index]) for name, texts in rows])


def _one_line(text: str) -> str:
    """The text with its line breaks as they are written in code."""
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
