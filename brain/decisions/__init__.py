"""Decisions on plans: inputs, checks, permits, audit records."""
