"""Finds decisions, plans and symbols for the desk's pages."""
