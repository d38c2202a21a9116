"""Publishes the universe: the symbols that may be opened."""
