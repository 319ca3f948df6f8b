"""The command line: reads the configuration, builds everything, runs it."""
