"""Pure functions and frozen records of decisions.

Nothing here does I/O, waits, logs or reads a clock: every input, "now" included, is an argument. The same
input always gives the same answer, so an audit record can be replayed years later.
"""
