"""Data sets of the hub in miniature: `datasets` takes a folder of the same name before it asks the hub."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from pydoc_data.topics import topics

SPLITS = ("train", "validation", "test")


def lay_out(place: Path) -> None:
    """What `data.source=wikitext2` and lm-eval's own tasks `arc_easy` and `hellaswag` load, a few rows each."""
    sums = [(f"{number} + 1 =", str(number + 1), str(number + 5)) for number in range(3)]
    _save(place / "Salesforce/wikitext", "wikitext-2-raw-v1", [{"text": topics["strings"]}])
    _save(
        place / "allenai/ai2_arc",
        "ARC-Easy",
        [
            {"question": asked, "choices": {"text": [right, wrong], "label": ["A", "B"]}, "answerKey": "A"}
            for asked, right, wrong in sums
        ],
    )
    _save(
        place / "Rowan/hellaswag",
        "default",
        [
            {"activity_label": "Sums", "ctx_a": asked, "ctx_b": "it is", "endings": [wrong, right], "label": "1"}
            for asked, right, wrong in sums
        ],
    )


def _save(folder: Path, subset: str, rows: Iterable[Mapping[str, object]]) -> None:
    """The same rows in every split."""
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    files = "\n".join(f"  - {{split: {split}, path: rows.jsonl}}" for split in SPLITS)
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: {subset}\n  data_files:\n{files}\n---\n")
