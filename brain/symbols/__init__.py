"""Symbols: trading rules, allowlist, candidates."""
