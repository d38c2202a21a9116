"""What runs: one file an actor. Each takes all it can touch in its constructor."""
