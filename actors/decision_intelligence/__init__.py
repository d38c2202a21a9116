"""Decision intelligence (P3.5): which gate stops what, counted from the results of all executors."""
