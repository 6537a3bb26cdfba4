"""The records of a search: run directory, archive (SQLite or PostgreSQL), events (JSONL), prices."""
