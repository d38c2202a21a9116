"""`make soak`: the daemon for minutes under load and faults, with its memory measured. A short one is tested."""
