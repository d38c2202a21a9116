"""Positions of symbols: rows, snapshots, and the rules of freshness."""
