"""Functions that runs found, as `autoprune kit add` writes them: NAME.py with the function, NAME.md with its lineage.

They are data to this program: parsed and never imported. What a candidate uses of them is written into its own source
(`candidates/inlining.py`), and runs in the sandbox like the rest of it.
"""
