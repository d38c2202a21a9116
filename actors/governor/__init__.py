"""The Governor: grants plans by limits, kill score and switches, and counts what it grants."""
