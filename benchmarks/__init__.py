"""Measured ratios, each beside what it is compared to in the same run; `python -m benchmarks`. None of them is a test."""
