"""Decides the plans of apply.plan and commits each decision."""
