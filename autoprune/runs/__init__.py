"""The record of a search: run directory, archive (SQLite), events (JSONL), prices."""
