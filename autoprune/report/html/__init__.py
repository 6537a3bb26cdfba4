"""The report of a run as a self-contained HTML file, from events, archive and sources.

The modules `candidates`, `reasoning`, `layers`, `course` and `tables` collect plain data, and `document` renders the
page; its template, style and scripts are in `page/`. Untrusted text is inserted only through the template, which
escapes it, or as JSON, which the scripts insert as text and never as markup.
"""
