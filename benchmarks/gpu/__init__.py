"""The parts of `scripts/gpu-check`: does a device compute what the CPU computes, and what does pruning cost there?"""
