"""Simulated venues: one exchange core, the drivers that move its markets, and the venues' own wire protocols on top."""
