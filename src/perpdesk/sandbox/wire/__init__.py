"""One server per venue protocol, each over a simulated exchange and each with its own encoders."""
