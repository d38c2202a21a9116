"""Store on a real Redis."""
