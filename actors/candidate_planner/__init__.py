"""Chooses the symbols that are read and may be traded."""
