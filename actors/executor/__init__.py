"""The executor: one order for each permitted plan, or none, and its results."""
