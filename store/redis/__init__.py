"""The store over a real Redis."""
