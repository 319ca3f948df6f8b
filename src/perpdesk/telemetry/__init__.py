"""What the desk tells about itself beside its answers: logs, without secrets."""
