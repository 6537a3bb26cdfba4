"""The report of a run: one HTML file that needs nothing else, drawn from events, archive and sources alone.

Python gathers plain data (`candidates`, `reasoning`, `layers`, `curve`, `tables`), `document` puts it into a page; the
page's template, style and scripts are files in `page/`. What an LLM or a candidate wrote reaches the page in two ways
only: through the template, which escapes, and as JSON, which the scripts put into the page as text, never as markup.
"""
