"""Executors score and measure candidates: in this process, in several processes, or on a Ray cluster.

An executor takes jobs, which are plain data, and returns measurements. Proposing, the archive and the cache of
measurements stay in the coordinator, the process of the search.
"""
