"""Texts on which two tokenizers of the same model are compared."""

from collections.abc import Sequence

PIECES = (
    "The quick brown fox jumps over the lazy dog.",
    "don't you'll we've I'M HE'S it's",
    "1234567890 3.14159 1,000,000 2026-11-30",
    "def f(x):\n\treturn x ** 2  # squared\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i]; }",
    "  two leading, two trailing  ",
    "tabs\tand\t\ttabs",
    "lines\nand\r\nlines\n\n\nend",
    "a  b   c    d     e        f",
    "x 1 y  2 z   3    4",
    "Fußgängerübergänge, cœur, naïveté, jalapeño",
    "Съешь же ещё этих мягких французских булок",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "敏捷的棕色狐狸跳过了懒狗",
    "いろはにほへと ちりぬるを",
    "다람쥐 헌 쳇바퀴에 타고파",
    "صِف خَلقَ خَودٍ كَمِثلِ الشَمسِ",
    "דג סקרן שט בים מאוכזב",
    "ऋषियों को सताने वाले दुष्ट राक्षसों",
    "นายสังฆภัณฑ์ เฮงพิทักษ์ฝั่ง",
    "😀 👩‍👩‍👧‍👦 🏳️‍🌈 🇫🇷 ✈️",
    "∑∫√∞≠≤≥ αβγ → ⇒ ∀x∈ℝ",
    "“quotes” ‘single’ «guillemets» — – … •",
    "\u00a0no-break\u2003em\u200bzero\ufeffmark\u3000wide",
    "http://example.org/a?b=c&d=%20#e",
    "user.name+tag@example.co.uk",
    '{"key": [1, 2.5, null, true], "text": "a\\nb"}',
    "<div class='a'>&amp;</div>",
    "CamelCase snake_case kebab-case SCREAMING_CASE",
    "!!!???...,,,;;;:::---___===+++***///\\\\\\|||",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "ⅣⅫ½¾²³₁₂ ١٢٣ １２３",
    "e = mc^2 & H2O, 100% $5 €6 £7 #8 @9",
    "\u2581 lower one eighth block \u2581",
    "Zażółć gęślą jaźń",
    "Tiếng Việt có dấu",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝕋𝕖𝕩𝕥 𓀀𓁐",
)
FORMS = ("{}", " {}", "{} {}", "\n{}\n\n", "9{}")
WITH_SPECIAL = ("{}", "a{}b", " {} ")
COUNT = 200


def probe_texts(special: Sequence[str]) -> list[str]:
    """COUNT texts: scripts, whitespace, digits, code, and the `special` tokens within other text."""
    plain = [form.format(piece, piece[::-1] if piece.isascii() else piece) for form in FORMS for piece in PIECES]
    room = COUNT - len(plain)
    within = [form.format(token) for form in WITH_SPECIAL for token in special]
    filler = [f"{first}{second}" for first in PIECES for second in PIECES if first is not second]
    return [*plain, *within[:room], *filler][:COUNT]
