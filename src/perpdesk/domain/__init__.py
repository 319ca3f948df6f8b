"""Values and arithmetic of perpetual futures. Pure: no I/O, no clock of its own, nothing of ours imported."""
