"""What is decided: pure functions and frozen records.

Nothing here does I/O, waits, logs or knows what time it is; every input, "now" included, is an argument.
So the same input always gives the same answer, and an audit record can be decided again years later.
"""
