"""Where candidates are scored and measured: in this process, in several, or on a Ray cluster.

An executor takes jobs, which are plain data, and hands out measurements. Proposing, the archive and the cache of
measurements stay with the coordinator, the process of the search.
"""
