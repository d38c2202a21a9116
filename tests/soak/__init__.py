"""`make soak`: the daemon under load and faults, with its memory measured; a short one is a test."""
