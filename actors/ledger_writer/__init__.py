"""Books every executed result once, and keeps a ledger for every symbol."""
