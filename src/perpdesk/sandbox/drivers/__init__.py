"""What moves the simulated venues: a synthetic market fitted to recordings, or the recordings themselves."""
