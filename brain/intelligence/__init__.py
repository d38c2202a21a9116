"""Decision intelligence: results by decision, reason and gate, counted over windows of time."""
