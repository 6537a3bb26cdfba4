"""The scripts of benchmarks/ that people run on machines of their own."""
