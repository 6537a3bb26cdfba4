"""The record of a search: run directory, archive (SQLite or PostgreSQL), events (JSONL), prices."""
