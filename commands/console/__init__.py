"""The terminal: colours, width, progress."""
