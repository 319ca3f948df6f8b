"""Delta-neutral funding carry: find it, refuse most of it, enter, hold, leave, and account for every cent."""
