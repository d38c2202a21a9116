"""Reconcile engine (P3.4)."""
