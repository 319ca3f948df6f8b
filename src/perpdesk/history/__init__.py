"""Recorded data and what is computed from it: loading and checking folders, statistics, reports."""
