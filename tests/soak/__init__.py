"""`make soak`: the daemon for minutes under load and faults, with its memory measured. No test runs it."""
