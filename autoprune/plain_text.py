"""Cleaning untrusted text."""


def clean(text: str) -> str:
    """Text that is safe to store and to show: no control characters, no surrogates."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in text if c in "\n\t" or (c.isprintable() and c != "\x7f"))
