"""Connectors: every venue behind one port, live or simulated, in our vocabulary."""
