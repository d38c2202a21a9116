"""`make soak`: the daemon for minutes under load and faults, with its memory measured; a short one is a test."""
