"""A text that is the same under every Python, for tests whose outcome hangs on what the text says.

The built-in text is that of the Python at hand, and differs between its versions.
"""

from random import Random

SYLLABLES = ("ba", "den", "fo", "gri", "kal", "lu", "mi", "nor", "pe", "qua", "ris", "sto", "tu", "va", "wen", "zo")
WORDS, PARAGRAPHS, SENTENCES, LENGTH = 300, 240, 4, 12


def steady_text() -> str:
    """Paragraphs of invented words, some of which are far more common than others."""
    chance = Random(0)
    words = ["".join(chance.choice(SYLLABLES) for _ in range(chance.randint(1, 3))) for _ in range(WORDS)]
    weights = [1 / (place + 1) for place in range(WORDS)]

    def sentence() -> str:
        return " ".join(chance.choices(words, weights, k=LENGTH)).capitalize() + "."

    return "\n\n".join(" ".join(sentence() for _ in range(SENTENCES)) for _ in range(PARAGRAPHS))
